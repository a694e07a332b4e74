// Products of a few rows of activations with a weight matrix: y[n][r] = sum over k of x[n][k] * w[r][k].
//
// Several rows of the matrix meet several rows of activations at a time, so that a loaded number serves more
// than one product. FP32 and BF16 weights lie row by row, as in torch; activations for BF16 have their even and
// odd places apart, sixteen at a time. INT8 and INT4 weights lie in the order in which they are read: sixteen
// rows together, interleaved, so that a vector's lanes are rows and no sum across lanes is needed.
//   INT8, 32 columns:  512 bytes, [16 pairs of columns][16 rows][2 columns]
//   INT4, 32 columns:  16 FP16 steps, 16 FP16 minima, then 256 bytes [4][16 rows][4 columns]; a low nibble is
//                      column 4j + i, the high nibble beside it column 16 + 4j + i.
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
    const float* steps;  // INT8: one for each row, filled up to whole units
};

constexpr int CODED_ROWS = 16, GROUP = 32;
constexpr int INT8_BYTES = CODED_ROWS * GROUP, INT4_BYTES = CODED_ROWS * (2 + 2 + GROUP / 2);

inline int groups(int columns) { return (columns + GROUP - 1) / GROUP; }

// Rows of activations as a matrix of some kind wants them; `codes` and `steps` for INT8 and INT4 only.
struct Activations {
    float* values;
    size_t stride;
    int16_t* codes;  // INT4: int8_t, in the same memory
    float* steps;    // [rows][groups]
    float* sums;     // [rows][groups], INT4: step * sum of codes
};

inline void split_row(float* values, int columns) {
    for (int k = 0; k + 2 * LANES <= columns; k += 2 * LANES) split_sixteen(values + k);
}

// Columns beyond the last are zeros.
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

// Bring one row into the form that a matrix of this kind wants.
inline void ready_row(const Matrix& matrix, const Activations& x, int row) {
    if (matrix.kind == BF16) split_row(x.values + row * x.stride, matrix.columns);
    if (matrix.kind >= INT8) quantise_row(static_cast<Kind>(matrix.kind), x, row, matrix.columns);
}

// Where a product goes: y = x w^T + bias, or y += x w^T.
struct Output {
    float* values;
    size_t stride;
    const float* bias;
    bool add;

    // `count` neighbouring results of one row of activations.
    void write(int row, int first, int count, const float* results) const {
        float* at = values + row * stride + first;
        for (int r = 0; r < count; ++r)
            at[r] = results[r] + (add ? at[r] : 0.0f) + (bias ? bias[first + r] : 0.0f);
    }
};

// FP32 and BF16: four rows of weights at a time.
constexpr int DENSE_ROWS = 4;

// Their products with N rows of activations; the four sums of each in one vector.
template <int N, typename Weight>
inline void dense_rows(const Weight* const* weights, const float* const* x, int columns, __m128* y) {
    Floats acc[DENSE_ROWS][N] = {};
    int k = 0;
    if constexpr (sizeof(Weight) == sizeof(uint16_t)) {
        constexpr bool apart = N == 1;  // a second set of sums, where one addition would wait for the last
        Floats more[DENSE_ROWS] = {};
        for (; k + 2 * LANES <= columns; k += 2 * LANES) {
            Floats a[N], b[N];
            for (int n = 0; n < N; ++n) a[n] = held(load(x[n] + k)), b[n] = held(load(x[n] + k + LANES));
            for (int r = 0; r < DENSE_ROWS; ++r) {
                __m256i w = held(load_sixteen(weights[r] + k));
                for (int n = 0; n < N; ++n) acc[r][n] += even(w) * a[n];
                if (apart)
                    more[r] += odd(w) * b[0];
                else
                    for (int n = 0; n < N; ++n) acc[r][n] += odd(w) * b[n];
            }
        }
        for (int r = 0; apart && r < DENSE_ROWS; ++r) acc[r][0] += more[r];
    }
    for (; k + LANES <= columns; k += LANES) {
        Floats a[N];
        for (int n = 0; n < N; ++n) a[n] = held(load(x[n] + k));
        for (int r = 0; r < DENSE_ROWS; ++r) {
            Floats w = held(load(weights[r] + k));
            for (int n = 0; n < N; ++n) acc[r][n] += w * a[n];
        }
    }
    for (int n = 0; n < N; ++n) {
        float rest[DENSE_ROWS] = {};
        for (int c = k; c < columns; ++c)
            for (int r = 0; r < DENSE_ROWS; ++r) rest[r] += widen(weights[r][c]) * x[n][c];
        y[n] = _mm_add_ps(sums(acc[0][n], acc[1][n], acc[2][n], acc[3][n]), _mm_loadu_ps(rest));
    }
}

template <typename Weight>
inline void dense_unit(const Matrix& matrix, int unit, const Activations& x, int begin, int end, const Output& out) {
    const int first = unit * DENSE_ROWS, width = std::min(DENSE_ROWS, matrix.rows - first);
    const Weight* weights[DENSE_ROWS];
    for (int r = 0; r < DENSE_ROWS; ++r) {
        // Behind the last row the last one again: its sums are not stored.
        size_t row = first + std::min(r, width - 1);
        weights[r] = static_cast<const Weight*>(matrix.data) + row * matrix.columns;
    }
    for (int n = begin; n < end; n += 2) {
        const float* rows[2] = {x.values + n * x.stride, x.values + (n + 1) * x.stride};
        const int count = std::min(2, end - n);
        __m128 y[2];
        if (count == 2)
            dense_rows<2>(weights, rows, matrix.columns, y);
        else
            dense_rows<1>(weights, rows, matrix.columns, y);
        for (int i = 0; i < count; ++i) {
            float results[DENSE_ROWS];
            _mm_storeu_ps(results, y[i]);
            out.write(n + i, first, width, results);
        }
    }
}

// INT8 and INT4: sixteen rows at a time, as two vectors of eight, against up to four rows of activations. Loads
// are what these kernels wait for, and so each activation that is loaded meets both vectors.
constexpr int HALVES = 2, TOGETHER = 4;
// Behind a page's end the processor does not look ahead by itself.
constexpr int AHEAD = 4096;

inline void prefetch(const void* at, int bytes) {
    for (int i = 0; i < bytes; i += 64) _mm_prefetch(static_cast<const char*>(at) + i, _MM_HINT_T0);
}

inline __m256i broadcast(const void* four_bytes) {
    int32_t bits;
    std::memcpy(&bits, four_bytes, sizeof bits);
    return _mm256_set1_epi32(bits);
}

// N rows of activations from `first` on; y[h][n] has the results of half h.
template <int N>
inline void int8_rows(const Matrix& matrix, int unit, const Activations& x, int first, Floats (*y)[TOGETHER]) {
    const int count = groups(matrix.columns);
    const int8_t* at = static_cast<const int8_t*>(matrix.data) + static_cast<size_t>(unit) * count * INT8_BYTES;
    const size_t row = static_cast<size_t>(count) * GROUP;
    for (int g = 0; g < count; ++g, at += INT8_BYTES) {
        prefetch(at + AHEAD, INT8_BYTES);
        const int16_t* codes = x.codes + first * row + static_cast<size_t>(g) * GROUP;
        __m256i acc[HALVES][N] = {};
#pragma GCC unroll 16
        for (int j = 0; j < GROUP / 2; ++j) {
            __m256i w[HALVES];
            for (int h = 0; h < HALVES; ++h)
                w[h] = _mm256_cvtepi8_epi16(
                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 2 * CODED_ROWS * j) + h));
            for (int n = 0; n < N; ++n) {
                __m256i a = broadcast(codes + n * row + 2 * j);
                for (int h = 0; h < HALVES; ++h) acc[h][n] = held(_mm256_add_epi32(acc[h][n], _mm256_madd_epi16(w[h], a)));
            }
        }
        for (int n = 0; n < N; ++n) {
            Floats step = all(x.steps[static_cast<size_t>(first + n) * count + g]);
            for (int h = 0; h < HALVES; ++h) y[h][n] += Floats(_mm256_cvtepi32_ps(acc[h][n])) * step;
        }
    }
    for (int h = 0; h < HALVES; ++h)
        for (int n = 0; n < N; ++n) y[h][n] *= load(matrix.steps + unit * CODED_ROWS + h * LANES);
}

// Adds four products of a four-bit and an eight-bit code to each lane: 16 bits hold 8 * 2 * 15 * 127 = 30480,
// the eight calls of a group.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
inline __m256i add_products(__m256i acc, __m256i w, __m256i a) { return _mm256_dpbusd_epi32(acc, w, a); }
inline __m256i whole(__m256i acc) { return acc; }
#elif defined(__AVXVNNI__)
inline __m256i add_products(__m256i acc, __m256i w, __m256i a) { return _mm256_dpbusd_avx_epi32(acc, w, a); }
inline __m256i whole(__m256i acc) { return acc; }
#else
inline __m256i add_products(__m256i acc, __m256i w, __m256i a) {
    return held(_mm256_add_epi16(acc, _mm256_maddubs_epi16(w, a)));
}
inline __m256i whole(__m256i acc) { return _mm256_madd_epi16(acc, _mm256_set1_epi16(1)); }
#endif

template <int N>
inline void int4_rows(const Matrix& matrix, int unit, const Activations& x, int first, Floats (*y)[TOGETHER]) {
    const int count = groups(matrix.columns);
    const uint8_t* at = static_cast<const uint8_t*>(matrix.data) + static_cast<size_t>(unit) * count * INT4_BYTES;
    const size_t row = static_cast<size_t>(count) * GROUP;
    const __m256i low = _mm256_set1_epi8(15);
    for (int g = 0; g < count; ++g, at += INT4_BYTES) {
        prefetch(at + AHEAD, INT4_BYTES);
        const int8_t* codes = reinterpret_cast<const int8_t*>(x.codes) + first * row + static_cast<size_t>(g) * GROUP;
        const __m128i* figures = reinterpret_cast<const __m128i*>(at);
        const __m256i* packed = reinterpret_cast<const __m256i*>(at + 4 * CODED_ROWS);
        __m256i acc[HALVES][N] = {};
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            __m256i w[HALVES], v[HALVES];
            for (int h = 0; h < HALVES; ++h) {
                __m256i bytes = _mm256_loadu_si256(packed + HALVES * j + h);
                w[h] = _mm256_and_si256(bytes, low);
                v[h] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low);
            }
            for (int n = 0; n < N; ++n) {
                __m256i a = broadcast(codes + n * row + 4 * j), b = broadcast(codes + n * row + 16 + 4 * j);
                for (int h = 0; h < HALVES; ++h)
                    acc[h][n] = add_products(add_products(acc[h][n], w[h], a), v[h], b);
            }
        }
        for (int h = 0; h < HALVES; ++h) {
            Floats steps = _mm256_cvtph_ps(_mm_loadu_si128(figures + h));
            Floats minima = _mm256_cvtph_ps(_mm_loadu_si128(figures + HALVES + h));
            for (int n = 0; n < N; ++n) {
                size_t group = static_cast<size_t>(first + n) * count + g;
                Floats dot = _mm256_cvtepi32_ps(whole(acc[h][n]));
                y[h][n] += dot * (steps * all(x.steps[group])) + minima * all(x.sums[group]);
            }
        }
    }
}

template <int N>
inline void coded_rows(const Matrix& matrix, int unit, const Activations& x, int first, const Output& out) {
    Floats y[HALVES][TOGETHER] = {};
    if (matrix.kind == INT8)
        int8_rows<N>(matrix, unit, x, first, y);
    else
        int4_rows<N>(matrix, unit, x, first, y);
    const int row = unit * CODED_ROWS;
    for (int n = 0; n < N; ++n) {
        float results[CODED_ROWS];
        put(results, y[0][n]);
        put(results + LANES, y[1][n]);
        out.write(first + n, row, std::min(CODED_ROWS, matrix.rows - row), results);
    }
}

inline void coded_unit(const Matrix& matrix, int unit, const Activations& x, int begin, int end, const Output& out) {
    int n = begin;
    for (; n + 4 <= end; n += 4) coded_rows<4>(matrix, unit, x, n, out);
    if (end - n == 3) coded_rows<3>(matrix, unit, x, n, out);
    if (end - n == 2) coded_rows<2>(matrix, unit, x, n, out);
    if (end - n == 1) coded_rows<1>(matrix, unit, x, n, out);
}

// A product's units are independent of each other: some rows of the matrix against any rows of activations.
inline int units(const Matrix& matrix) {
    int rows = matrix.kind >= INT8 ? CODED_ROWS : DENSE_ROWS;
    return (matrix.rows + rows - 1) / rows;
}

inline void product_unit(const Matrix& matrix, int unit, const Activations& x, int begin, int end, const Output& out) {
    if (matrix.kind == FP32) return dense_unit<float>(matrix, unit, x, begin, end, out);
    if (matrix.kind == BF16) return dense_unit<uint16_t>(matrix, unit, x, begin, end, out);
    coded_unit(matrix, unit, x, begin, end, out);
}
