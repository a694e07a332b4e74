// Products of few rows of activations with weights in fewer bytes, on a pool of threads: 2:4 and INT4 in groups.
//
// x [m, k] and out [m, n] in FP32, a weight [n, k] as labs/ops/sparse_24.py and int4_gemm.py lay it out. A weight is
// unfolded in registers and meets up to FEW rows of x there; what memory carries is the small form alone.
#include <algorithm>
#include <array>
#include <cstdint>

#include "pool.h"
#include "vectors.h"

namespace {

constexpr long FEW = 4;

struct Half {
    uint16_t bits;
};
struct Brain {
    uint16_t bits;
};

__m128 four(const float* at) { return _mm_loadu_ps(at); }
__m128 four(const Half* at) { return _mm_cvtph_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))); }
__m128 four(const Brain* at) {
    const __m128i wide = _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    return _mm_castsi128_ps(_mm_slli_epi32(wide, 16));
}

// For a byte of metadata (two groups of four): which of the four values stands at each of eight places; 4, a lane
// that holds zero, where none does.
std::array<std::array<int32_t, 8>, 256> unfolding() {
    std::array<std::array<int32_t, 8>, 256> table{};
    for (int byte = 0; byte < 256; ++byte) {
        table[byte].fill(4);
        for (int group = 0; group < 2; ++group) {
            const int nibble = byte >> (4 * group) & 15;
            table[byte][4 * group + (nibble & 3)] = 2 * group;
            table[byte][4 * group + (nibble >> 2)] = 2 * group + 1;
        }
    }
    return table;
}
const auto UNFOLD = unfolding();

// A weight knows the dot product of one of its rows with one row of x, and R of its rows eight columns at a time.
template <typename Value>
struct TwoFour {
    const Value* value;
    const uint8_t* meta;
    long k;

    Floats eight(long row, long b) const {
        const __m128 kept = four(value + row * (k / 2) + 4 * b);
        const auto* places = reinterpret_cast<const __m256i*>(UNFOLD[meta[row * (k / 8) + b]].data());
        return _mm256_permutevar8x32_ps(_mm256_zextps128_ps256(kept), _mm256_loadu_si256(places));
    }

    float dot(long row, const float* x) const {
        Floats total[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};  // sums that do not wait for one another
        long b = 0;
        for (; b + 4 <= k / LANES; b += 4)
            for (long i = 0; i < 4; ++i) total[i] += eight(row, b + i) * load(x + (b + i) * LANES);
        for (; b < k / LANES; ++b) total[0] += eight(row, b) * load(x + b * LANES);
        return sum((total[0] + total[1]) + (total[2] + total[3]));
    }

    template <long R, typename Use>
    void each(long row, Use use) const {
        for (long b = 0; b < k / LANES; ++b) {
            Floats dense[R];
            for (long r = 0; r < R; ++r) dense[r] = eight(row + r, b);
            use(b * LANES, dense);
        }
    }
};

struct Int4 {
    const uint8_t* packed;  // [n][groups][half]: a byte holds number j of its group and, above, number j + half
    const float *scale, *low;
    long groups, half, k;

    __m256i bytes(long row, long group, long j) const {
        const uint8_t* at = packed + (row * groups + group) * half + j;
        return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    }
    static Floats under(__m256i bytes) { return _mm256_cvtepi32_ps(_mm256_and_si256(bytes, _mm256_set1_epi32(15))); }
    static Floats above(__m256i bytes) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(bytes, 4)); }

    float dot(long row, const float* x) const {
        Floats total[4] = {all(0.0f), all(0.0f), all(0.0f), all(0.0f)};
        for (long g = 0; g < groups; ++g) {
            const Floats step = all(scale[row * groups + g]), base = all(low[row * groups + g]);
            const float* at = x + g * 2 * half;
            for (long j = 0; j < half; j += 2 * LANES)
                for (long i = 0; i < 2; ++i) {
                    const __m256i codes = bytes(row, g, j + i * LANES);
                    total[2 * i] += (under(codes) * step + base) * load(at + j + i * LANES);
                    total[2 * i + 1] += (above(codes) * step + base) * load(at + half + j + i * LANES);
                }
        }
        return sum((total[0] + total[1]) + (total[2] + total[3]));
    }

    template <long R, typename Use>
    void each(long row, Use use) const {
        for (long g = 0; g < groups; ++g) {
            Floats step[R], base[R];
            for (long r = 0; r < R; ++r) {
                step[r] = all(scale[(row + r) * groups + g]);
                base[r] = all(low[(row + r) * groups + g]);
            }
            for (long j = 0; j < half; j += LANES) {
                Floats first[R], second[R];
                for (long r = 0; r < R; ++r) {
                    const __m256i codes = bytes(row + r, g, j);
                    first[r] = under(codes) * step[r] + base[r];
                    second[r] = above(codes) * step[r] + base[r];
                }
                use(g * 2 * half + j, first);
                use(g * 2 * half + half + j, second);
            }
        }
    }
};

// R rows of the weight with M rows of x: what is unfolded once serves all M.
template <long R, long M, typename Weight>
void product(const Weight& weight, long row, const float* x, float* out, long n) {
    Floats total[R][M];
    for (auto& one : total)
        for (auto& sum : one) sum = all(0.0f);
    weight.template each<R>(row, [&](long column, const Floats* dense) {
        for (long m = 0; m < M; ++m) {
            const Floats part = load(x + m * weight.k + column);
            for (long r = 0; r < R; ++r) total[r][m] += dense[r] * part;
        }
    });
    for (long r = 0; r < R; ++r)
        for (long m = 0; m < M; ++m) out[m * n + row + r] = sum(total[r][m]);
}

template <long M, typename Weight>
void rows(const Weight& weight, long first, long last, const float* x, float* out, long n) {
    long row = first;
    if constexpr (M == 1) {
        for (; row < last; ++row) out[row] = weight.dot(row, x);
    } else {
        for (; row + 2 <= last; row += 2) product<2, M>(weight, row, x, out, n);
        for (; row < last; ++row) product<1, M>(weight, row, x, out, n);
    }
}

}  // namespace

struct Decode {
    explicit Decode(int threads) : pool(threads) {}

    // Each strip of STRIP rows of the weight, once.
    template <typename Each>
    void strips(long n, Each each) {
        constexpr long STRIP = 16;
        const int count = static_cast<int>((n + STRIP - 1) / STRIP);
        pool.run([&] {
            pool.phase(count, pool.grain(count),
                       [&](int item) { each(item * STRIP, std::min((item + 1) * STRIP, n)); });
        });
    }

    template <typename Weight>
    void multiply(const Weight& weight, const float* x, float* out, long m, long n) {
        strips(n, [&](long first, long last) {
            long r = 0;
            for (; r + FEW <= m; r += FEW) rows<FEW>(weight, first, last, x + r * weight.k, out + r * n, n);
            const float* left = x + r * weight.k;
            float* to = out + r * n;
            if (m - r == 3) rows<3>(weight, first, last, left, to, n);
            else if (m - r == 2) rows<2>(weight, first, last, left, to, n);
            else if (m - r == 1) rows<1>(weight, first, last, left, to, n);
        });
    }

    template <typename Weight>
    void unfold(const Weight& weight, float* out, long n) {
        strips(n, [&](long first, long last) {
            for (long row = first; row < last; ++row)
                weight.template each<1>(
                    row, [&](long column, const Floats* dense) { put(out + row * weight.k + column, *dense); });
        });
    }

    // Without x: the weight itself, [n, k].
    template <typename Weight>
    void run(const Weight& weight, const float* x, float* out, long m, long n) {
        if (x) multiply(weight, x, out, m, n);
        else unfold(weight, out, n);
    }

    Pool pool;
};

extern "C" {
void* inferlab_decode(int threads) { return new Decode(threads); }
void inferlab_decode_forget(void* decode) { delete static_cast<Decode*>(decode); }

// kind: 0 FP32, 1 FP16, 2 BF16. k is divisible by 8.
void inferlab_decode_two_four(void* decode, const void* value, long kind, const uint8_t* meta, const float* x,
                              float* out, long m, long n, long k) {
    auto& one = *static_cast<Decode*>(decode);
    if (kind == 0) one.run(TwoFour<float>{static_cast<const float*>(value), meta, k}, x, out, m, n);
    else if (kind == 1) one.run(TwoFour<Half>{static_cast<const Half*>(value), meta, k}, x, out, m, n);
    else one.run(TwoFour<Brain>{static_cast<const Brain*>(value), meta, k}, x, out, m, n);
}

// half, of a group, is divisible by 16; k is whole groups.
void inferlab_decode_int4(void* decode, const uint8_t* packed, const float* scale, const float* low, const float* x,
                          float* out, long m, long n, long groups, long half) {
    static_cast<Decode*>(decode)->run(Int4{packed, scale, low, groups, half, 2 * half * groups}, x, out, m, n);
}
}
