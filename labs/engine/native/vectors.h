// Eight floats at a time: loads, sums across lanes, and the exponential.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

typedef float Floats __attribute__((vector_size(32)));

constexpr int LANES = 8;

inline Floats load(const float* at) { return _mm256_loadu_ps(at); }
inline void put(float* at, Floats values) { _mm256_storeu_ps(at, values); }
// Kept in a register and in its place: GCC would rather load a value again for each use, or reorder sums until they
// no longer fit the registers.
template <typename Vector>
inline Vector held(Vector values) {
    asm("" : "+x"(values));
    return values;
}
inline Floats all(float value) { return _mm256_set1_ps(value); }

// BF16 is the upper half of an FP32. Of sixteen, first those at even places, then those at odd ones: so each
// takes one operation to widen.
inline Floats even(__m256i sixteen) { return _mm256_castsi256_ps(_mm256_slli_epi32(sixteen, 16)); }
inline Floats odd(__m256i sixteen) {
    return _mm256_castsi256_ps(_mm256_and_si256(sixteen, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}
inline __m256i load_sixteen(const uint16_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
inline Floats load(const uint16_t* at) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
// The order of `even` and `odd` for sixteen floats, in place.
inline void split_sixteen(float* at) {
    Floats a = _mm256_loadu_ps(at), b = _mm256_loadu_ps(at + 8);
    __m256d evens = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    __m256d odds = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    _mm256_storeu_pd(reinterpret_cast<double*>(at), _mm256_permute4x64_pd(evens, 0xd8));
    _mm256_storeu_pd(reinterpret_cast<double*>(at + 8), _mm256_permute4x64_pd(odds, 0xd8));
}
inline float widen(float value) { return value; }
inline float widen(uint16_t value) {
    uint32_t bits = static_cast<uint32_t>(value) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}
// Rounds to the nearest, ties to even, as torch does.
inline uint16_t bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline Floats load(const int8_t* at) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at))));
}

inline Floats largest(Floats a, Floats b) { return _mm256_max_ps(a, b); }
inline Floats magnitude(Floats a) { return _mm256_andnot_ps(all(-0.0f), a); }

// The sums of four vectors, in the four lanes of the result.
inline __m128 sums(Floats a, Floats b, Floats c, Floats d) {
    __m256 halves = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    return _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
}
inline float sum(Floats a) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
inline float maximum(Floats a) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// e^x within 2 ulp for -87 < x < 88; below, the smallest normal number instead of zero.
inline Floats exponential(Floats x) {
    x = _mm256_min_ps(_mm256_max_ps(x, all(-87.0f)), all(88.0f));
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa.
    Floats shifted = x * all(1.44269504f) + all(12582912.0f);
    Floats n = shifted - all(12582912.0f);
    Floats r = x - n * all(0.693359375f) + n * all(2.12194440e-4f);
    Floats p = all(1.9875691500e-4f);  // Cephes' expf
    p = p * r + all(1.3981999507e-3f);
    p = p * r + all(8.3334519073e-3f);
    p = p * r + all(4.1665795894e-2f);
    p = p * r + all(1.6666665459e-1f);
    p = p * r + all(5.0000001201e-1f);
    p = p * r * r + r + all(1.0f);
    __m256i power = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
}
