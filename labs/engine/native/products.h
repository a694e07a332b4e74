// Products of a few rows of activations with a weight matrix: y[n][r] = sum over k of x[n][k] * w[r][k].
//
// The unit is a tile: eight rows of the matrix against up to `TOGETHER` rows of activations, so that a weight
// is unpacked once for several of them. FP32 and BF16 weights lie row by row, as in torch. INT8 and INT4 lie
// tile by tile, eight rows interleaved, so that a vector's lanes are rows and no sum across lanes is needed:
//   INT8, 32 columns of a tile:  256 bytes, [16 pairs of columns][8 rows][2 columns]
//   INT4, 32 columns of a tile:  8 FP16 steps, 8 FP16 minima, then 128 bytes [4][8 rows][4 columns]; a low
//                                nibble is column 4j + i, the high nibble beside it column 16 + 4j + i.
// Activations meet INT8 weights as INT16 and INT4 weights as INT8, one FP32 step for each 32 columns.
#pragma once

#include <algorithm>

#include "vectors.h"

enum Kind : int32_t { FP32 = 0, BF16 = 1, INT8 = 2, INT4 = 3 };

struct Matrix {
    int32_t kind;
    int32_t rows;
    int32_t columns;
    int32_t padding;
    const void* data;
    const float* steps;  // INT8: one for each row, filled up to whole tiles
};

constexpr int TILE = 8, GROUP = 32, TOGETHER = 4;
constexpr int INT8_BYTES = TILE * GROUP, INT4_BYTES = 2 * 2 * TILE + TILE * GROUP / 2;

inline int groups(int columns) { return (columns + GROUP - 1) / GROUP; }
inline int tiles(const Matrix& matrix) { return (matrix.rows + TILE - 1) / TILE; }

// Rows of activations as a matrix of some kind wants them; `codes` and `steps` for INT8 and INT4 only.
struct Activations {
    const float* values;
    size_t stride;
    int16_t* codes;  // INT4: int8_t, in the same memory
    float* steps;    // [rows][groups]
    float* sums;     // [rows][groups], INT4: step * sum of codes
};

// Round one row for a matrix of this kind. Columns beyond the last are zeros.
inline void quantise_row(Kind kind, const Activations& x, int row, int columns) {
    const float* values = x.values + row * x.stride;
    int count = groups(columns);
    float padded[GROUP];
    for (int g = 0; g < count; ++g) {
        const float* at = values + g * GROUP;
        if (int left = columns - g * GROUP; left < GROUP) {
            std::memset(padded, 0, sizeof padded);
            std::memcpy(padded, at, left * sizeof(float));
            at = padded;
        }
        Floats a = load(at), b = load(at + 8), c = load(at + 16), d = load(at + 24);
        float most = maximum(largest(largest(magnitude(a), magnitude(b)), largest(magnitude(c), magnitude(d))));
        float last = kind == INT8 ? 32767.0f : 127.0f;
        float step = most / last;
        Floats inverse = all(most > 0 ? last / most : 0.0f);
        __m256i ab = _mm256_packs_epi32(_mm256_cvtps_epi32(a * inverse), _mm256_cvtps_epi32(b * inverse));
        __m256i cd = _mm256_packs_epi32(_mm256_cvtps_epi32(c * inverse), _mm256_cvtps_epi32(d * inverse));
        ab = _mm256_permute4x64_epi64(ab, 0xd8);  // packing works within halves
        cd = _mm256_permute4x64_epi64(cd, 0xd8);
        size_t group = static_cast<size_t>(row) * count + g;
        x.steps[group] = step;
        if (kind == INT8) {
            __m256i* out = reinterpret_cast<__m256i*>(x.codes + group * GROUP);
            _mm256_storeu_si256(out, ab);
            _mm256_storeu_si256(out + 1, cd);
            continue;
        }
        __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(ab, cd), 0xd8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(reinterpret_cast<int8_t*>(x.codes) + group * GROUP), bytes);
        __m256i pairs = _mm256_add_epi16(ab, cd);
        __m256i four = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        x.sums[group] = step * sum(_mm256_cvtepi32_ps(four));
    }
}

// Four rows of weights against N of activations; the four sums of each in one vector.
template <int N, typename Weight>
inline void four_rows(const Weight* const* weights, const float* const* x, int columns, __m128* y) {
    Floats acc[4][N] = {};
    int k = 0;
    for (; k + LANES <= columns; k += LANES) {
        Floats a[N];
        for (int n = 0; n < N; ++n) a[n] = load(x[n] + k);
        for (int r = 0; r < 4; ++r) {
            Floats w = load(weights[r] + k);
            for (int n = 0; n < N; ++n) acc[r][n] += w * a[n];
        }
    }
    for (int n = 0; n < N; ++n) {
        float rest[4] = {};
        for (int c = k; c < columns; ++c)
            for (int r = 0; r < 4; ++r) rest[r] += widen(weights[r][c]) * x[n][c];
        y[n] = _mm_add_ps(sums(acc[0][n], acc[1][n], acc[2][n], acc[3][n]), _mm_loadu_ps(rest));
    }
}

template <int N, typename Weight>
inline void dense_tile(const Matrix& matrix, int tile, const Activations& x, int first, Floats* y) {
    const float* rows[N];
    for (int n = 0; n < N; ++n) rows[n] = x.values + (first + n) * x.stride;
    __m128 halves[2][N];
    for (int half = 0; half < 2; ++half) {
        const Weight* weights[4];
        for (int r = 0; r < 4; ++r) {
            // Behind the last row the last one again: its sums are not stored.
            int row = std::min(tile * TILE + half * 4 + r, matrix.rows - 1);
            weights[r] = static_cast<const Weight*>(matrix.data) + static_cast<size_t>(row) * matrix.columns;
        }
        // Twelve sums in registers at most.
        constexpr int most = 3;
        if constexpr (N <= most) {
            four_rows<N>(weights, rows, matrix.columns, halves[half]);
        } else {
            four_rows<2>(weights, rows, matrix.columns, halves[half]);
            four_rows<N - 2>(weights, rows + 2, matrix.columns, halves[half] + 2);
        }
    }
    for (int n = 0; n < N; ++n) y[n] = _mm256_set_m128(halves[1][n], halves[0][n]);
}

inline __m256i broadcast(const void* four_bytes) {
    int32_t bits;
    std::memcpy(&bits, four_bytes, sizeof bits);
    return _mm256_set1_epi32(bits);
}

template <int N>
inline void int8_tile(const Matrix& matrix, int tile, const Activations& x, int first, Floats* y) {
    int count = groups(matrix.columns);
    const int8_t* at = static_cast<const int8_t*>(matrix.data) + static_cast<size_t>(tile) * count * INT8_BYTES;
    for (int n = 0; n < N; ++n) y[n] = Floats{};
    for (int g = 0; g < count; ++g, at += INT8_BYTES) {
        __m256i acc[N] = {};
#pragma GCC unroll 16
        for (int j = 0; j < GROUP / 2; ++j) {
            __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * j)));
            for (int n = 0; n < N; ++n) {
                const int16_t* codes = x.codes + (static_cast<size_t>(first + n) * count + g) * GROUP;
                acc[n] = _mm256_add_epi32(acc[n], _mm256_madd_epi16(w, broadcast(codes + 2 * j)));
            }
        }
        for (int n = 0; n < N; ++n)
            y[n] += Floats(_mm256_cvtepi32_ps(acc[n])) * all(x.steps[static_cast<size_t>(first + n) * count + g]);
    }
    Floats steps = load(matrix.steps + tile * TILE);
    for (int n = 0; n < N; ++n) y[n] *= steps;
}

// Sums of 32 products of four-bit and eight-bit codes, for eight rows. w[j] has columns 4j to 4j + 3 of each.
inline __m256i dot_32(const __m256i* w, const int8_t* codes) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    __m256i a = _mm256_setzero_si256(), b = _mm256_setzero_si256();
    for (int j = 0; j < 8; j += 2) {
        a = _mm256_dpbusd_epi32(a, w[j], broadcast(codes + 4 * j));
        b = _mm256_dpbusd_epi32(b, w[j + 1], broadcast(codes + 4 * j + 4));
    }
    return _mm256_add_epi32(a, b);
#elif defined(__AVXVNNI__)
    __m256i a = _mm256_setzero_si256(), b = _mm256_setzero_si256();
    for (int j = 0; j < 8; j += 2) {
        a = _mm256_dpbusd_avx_epi32(a, w[j], broadcast(codes + 4 * j));
        b = _mm256_dpbusd_avx_epi32(b, w[j + 1], broadcast(codes + 4 * j + 4));
    }
    return _mm256_add_epi32(a, b);
#else
    // 16 bits hold all eight: 8 * 2 * 15 * 127 = 30480.
    __m256i a = _mm256_maddubs_epi16(w[0], broadcast(codes)), b = _mm256_maddubs_epi16(w[1], broadcast(codes + 4));
    for (int j = 2; j < 8; j += 2) {
        a = _mm256_add_epi16(a, _mm256_maddubs_epi16(w[j], broadcast(codes + 4 * j)));
        b = _mm256_add_epi16(b, _mm256_maddubs_epi16(w[j + 1], broadcast(codes + 4 * j + 4)));
    }
    return _mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1));
#endif
}

template <int N>
inline void int4_tile(const Matrix& matrix, int tile, const Activations& x, int first, Floats* y) {
    int count = groups(matrix.columns);
    const uint8_t* at =
        static_cast<const uint8_t*>(matrix.data) + static_cast<size_t>(tile) * count * INT4_BYTES;
    const __m256i low = _mm256_set1_epi8(15);
    for (int n = 0; n < N; ++n) y[n] = Floats{};
    for (int g = 0; g < count; ++g, at += INT4_BYTES) {
        const __m128i* halves = reinterpret_cast<const __m128i*>(at);
        Floats steps = _mm256_cvtph_ps(_mm_loadu_si128(halves));
        Floats minima = _mm256_cvtph_ps(_mm_loadu_si128(halves + 1));
        const __m256i* packed = reinterpret_cast<const __m256i*>(at + 32);
        __m256i w[8];
        for (int j = 0; j < 4; ++j) {
            __m256i bytes = _mm256_loadu_si256(packed + j);
            w[j] = _mm256_and_si256(bytes, low);
            w[j + 4] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
        }
        for (int n = 0; n < N; ++n) {
            size_t group = static_cast<size_t>(first + n) * count + g;
            Floats dot = _mm256_cvtepi32_ps(dot_32(w, reinterpret_cast<const int8_t*>(x.codes) + group * GROUP));
            y[n] += dot * (steps * all(x.steps[group])) + minima * all(x.sums[group]);
        }
    }
}

template <int N>
inline void tile_of(const Matrix& matrix, int tile, const Activations& x, int first, Floats* y) {
    switch (matrix.kind) {
        case FP32: return dense_tile<N, float>(matrix, tile, x, first, y);
        case BF16: return dense_tile<N, uint16_t>(matrix, tile, x, first, y);
        case INT8: return int8_tile<N>(matrix, tile, x, first, y);
        default: return int4_tile<N>(matrix, tile, x, first, y);
    }
}

// Where a product goes: y = x w^T + bias, or y += x w^T.
struct Output {
    float* values;
    size_t stride;
    const float* bias;
    bool add;
};

// One tile of the matrix against all rows of activations.
inline void product_tile(const Matrix& matrix, int tile, const Activations& x, int rows, const Output& out) {
    int width = std::min(TILE, matrix.rows - tile * TILE);
    for (int first = 0; first < rows; first += TOGETHER) {
        Floats y[TOGETHER];
        int count = std::min(TOGETHER, rows - first);
        switch (count) {
            case 1: tile_of<1>(matrix, tile, x, first, y); break;
            case 2: tile_of<2>(matrix, tile, x, first, y); break;
            case 3: tile_of<3>(matrix, tile, x, first, y); break;
            default: tile_of<4>(matrix, tile, x, first, y);
        }
        for (int n = 0; n < count; ++n) {
            float* at = out.values + (first + n) * out.stride + tile * TILE;
            if (width == TILE) {
                if (out.bias) y[n] += load(out.bias + tile * TILE);
                if (out.add) y[n] += load(at);
                put(at, y[n]);
                continue;
            }
            for (int r = 0; r < width; ++r) {
                float value = y[n][r] + (out.bias ? out.bias[tile * TILE + r] : 0.0f);
                at[r] = out.add ? at[r] + value : value;
            }
        }
    }
}
