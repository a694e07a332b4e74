// Products of signed bytes, in tiles whose sums are handed on from registers.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

constexpr int ROWS = 4, COLUMNS = 2, WIDE = 32;

// codes [rows, depth], weights [columns, depth].
struct Bytes {
    const int8_t *codes, *weights;
    int rows, columns, depth;
};

// AVX2 multiplies unsigned by signed bytes: |w| times (a with w's sign). Codes lie in [-127, 127], so a pair of
// products is at most 32258 and fits 16 bits.
inline __m256i dot(__m256i sums, __m256i weight, __m256i magnitude, __m256i code) {
    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(code, weight));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

inline int32_t total(__m256i sums) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

inline __m256i bytes(const int8_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

// R rows and C columns from `at` on.
template <int R, int C>
void sums_of(const int8_t* codes, const int8_t* weights, int depth, int32_t (&sums)[R][C]) {
    __m256i wide[R][C] = {};
    int k = 0;
    for (; k + WIDE <= depth; k += WIDE) {
        __m256i weight[C], magnitude[C];
        for (int c = 0; c < C; ++c) {
            weight[c] = bytes(weights + static_cast<int64_t>(c) * depth + k);
            magnitude[c] = _mm256_abs_epi8(weight[c]);
        }
        for (int r = 0; r < R; ++r) {
            const __m256i code = bytes(codes + static_cast<int64_t>(r) * depth + k);
            for (int c = 0; c < C; ++c) wide[r][c] = dot(wide[r][c], weight[c], magnitude[c], code);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) {
            const int8_t* code = codes + static_cast<int64_t>(r) * depth;
            const int8_t* weight = weights + static_cast<int64_t>(c) * depth;
            sums[r][c] = total(wide[r][c]);
            for (int rest = k; rest < depth; ++rest) sums[r][c] += code[rest] * weight[rest];
        }
}

// The same of whole rows, handed on while they are in registers: `store(row, column, sum)`.
template <int R, int C, class Store>
void tile(const Bytes& of, int row, int column, const Store& store) {
    int32_t sums[R][C];
    const int8_t* codes = of.codes + static_cast<int64_t>(row) * of.depth;
    sums_of<R, C>(codes, of.weights + static_cast<int64_t>(column) * of.depth, of.depth, sums);
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) store(row + r, column + c, sums[r][c]);
}

// Two columns at once; the last of an odd number alone.
template <int R, class Store>
void rows_of(const Bytes& of, int row, const Store& store, int column) {
    if (of.columns - column >= COLUMNS)
        tile<R, COLUMNS>(of, row, column, store);
    else
        tile<R, 1>(of, row, column, store);
}

// Weights outermost: a pair of their rows stays in L1 while all codes pass.
template <class Store>
void multiply(const Bytes& of, const Store& store) {
    for (int column = 0; column < of.columns; column += COLUMNS) {
        int row = 0;
        for (; row + ROWS <= of.rows; row += ROWS) rows_of<ROWS>(of, row, store, column);
        for (; row < of.rows; ++row) rows_of<1>(of, row, store, column);
    }
}

}  // namespace
