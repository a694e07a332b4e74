// A tile of a product of signed bytes, with the scales applied while its sums are in registers.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

constexpr int ROWS = 4, COLUMNS = 2, WIDE = 32;

struct Place {
    int row, column, rows, columns, depth;
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
            const int8_t *code = codes + static_cast<int64_t>(r) * depth, *weight = weights + static_cast<int64_t>(c) * depth;
            sums[r][c] = total(wide[r][c]);
            for (int rest = k; rest < depth; ++rest) sums[r][c] += code[rest] * weight[rest];
        }
}

template <int R, int C>
void scaled(const int8_t* codes, const float* row_scales, const int8_t* weights, const float* column_scales, float* out,
            const Place& at) {
    int32_t sums[R][C];
    const int64_t row = at.row, column = at.column;
    sums_of<R, C>(codes + row * at.depth, weights + column * at.depth, at.depth, sums);
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c)
            out[(row + r) * at.columns + column + c] =
                static_cast<float>(sums[r][c]) * row_scales[row + r] * column_scales[column + c];
}

// A whole tile at once; a ragged one number by number.
inline void scaled_tile(const int8_t* codes, const float* row_scales, const int8_t* weights, const float* column_scales,
                        float* out, Place at) {
    const int rows = at.rows - at.row, columns = at.columns - at.column;
    if (rows >= ROWS && columns >= COLUMNS)
        return scaled<ROWS, COLUMNS>(codes, row_scales, weights, column_scales, out, at);
    if (rows == 1 && columns >= COLUMNS)
        return scaled<1, COLUMNS>(codes, row_scales, weights, column_scales, out, at);
    const Place end{at.row + (rows < ROWS ? rows : ROWS), at.column + (columns < COLUMNS ? columns : COLUMNS), 0, 0, 0};
    for (Place one = at; one.row < end.row; ++one.row)
        for (one.column = at.column; one.column < end.column; ++one.column)
            scaled<1, 1>(codes, row_scales, weights, column_scales, out, one);
}

}  // namespace
