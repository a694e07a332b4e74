// Products of sparse weights on one thread, with AVX2. W [n, k] in some format, x [k, m] dense and
// contiguous, out [n, m]; m is 1 or a multiple of 8. Every kernel overwrites all of out.
#include <immintrin.h>

#include <algorithm>
#include <cstdint>

namespace {

constexpr long LANES = 8;

float sum(__m256 x) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

__m256i indices(const int32_t* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }

__m256i indices(const uint16_t* at) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// One number of out: gathers from x, which stays in L1.
template <typename Index>
float gathered(const float* value, const Index* column, long count, const float* x) {
  __m256 one = _mm256_setzero_ps(), two = one;
  long p = 0;
  for (; p + 2 * LANES <= count; p += 2 * LANES) {
    one = _mm256_fmadd_ps(_mm256_loadu_ps(value + p), _mm256_i32gather_ps(x, indices(column + p), 4), one);
    two = _mm256_fmadd_ps(_mm256_loadu_ps(value + p + LANES),
                          _mm256_i32gather_ps(x, indices(column + p + LANES), 4), two);
  }
  float total = sum(_mm256_add_ps(one, two));
  for (; p < count; ++p) total += value[p] * x[column[p]];
  return total;
}

// VECTORS vectors of a row of out: for each value a row of x, scaled.
template <long VECTORS, typename Index>
void scaled_rows(const float* value, const Index* column, long count, const float* x, long m, float* out) {
  __m256 total[VECTORS];
  for (auto& one : total) one = _mm256_setzero_ps();
  for (long p = 0; p < count; ++p) {
    const __m256 factor = _mm256_set1_ps(value[p]);
    const float* row = x + static_cast<long>(column[p]) * m;
    for (long v = 0; v < VECTORS; ++v)
      total[v] = _mm256_fmadd_ps(factor, _mm256_loadu_ps(row + v * LANES), total[v]);
  }
  for (long v = 0; v < VECTORS; ++v) _mm256_storeu_ps(out + v * LANES, total[v]);
}

template <typename Index>
void csr(const float* value, const Index* column, const int32_t* start, const float* x, float* out, long n,
         long m) {
  for (long i = 0; i < n; ++i) {
    const float* values = value + start[i];
    const Index* columns = column + start[i];
    const long count = start[i + 1] - start[i];
    if (m == 1) {
      out[i] = gathered(values, columns, count, x);
      continue;
    }
    long j = 0;
    for (; j + 4 * LANES <= m; j += 4 * LANES)
      scaled_rows<4>(values, columns, count, x + j, m, out + i * m + j);
    for (; j < m; j += LANES) scaled_rows<1>(values, columns, count, x + j, m, out + i * m + j);
  }
}

// Four rows of a row of blocks and VECTORS vectors of columns: a vector of x serves four rows.
template <long VECTORS>
void block_rows(const float* value, const int32_t* column, long count, long block, const float* x, long m,
                float* out) {
  __m256 total[4][VECTORS];
  for (auto& row : total)
    for (auto& one : row) one = _mm256_setzero_ps();
  for (long p = 0; p < count; ++p) {
    const float* values = value + p * block * block;
    const float* rows = x + static_cast<long>(column[p]) * block * m;
    for (long c = 0; c < block; ++c)
      for (long v = 0; v < VECTORS; ++v) {
        const __m256 part = _mm256_loadu_ps(rows + c * m + v * LANES);
        for (long r = 0; r < 4; ++r)
          total[r][v] = _mm256_fmadd_ps(_mm256_set1_ps(values[r * block + c]), part, total[r][v]);
      }
  }
  for (long r = 0; r < 4; ++r)
    for (long v = 0; v < VECTORS; ++v) _mm256_storeu_ps(out + r * m + v * LANES, total[r][v]);
}

}  // namespace

extern "C" {

void inferlab_csr(const float* value, const void* column, const int32_t* start, const float* x, float* out,
                  long n, long m, long index_bytes) {
  if (index_bytes == 2) csr(value, static_cast<const uint16_t*>(column), start, x, out, n, m);
  else csr(value, static_cast<const int32_t*>(column), start, x, out, n, m);
}

// block is a multiple of 8, n of block.
void inferlab_bsr(const float* value, const int32_t* column, const int32_t* start, const float* x, float* out,
                  long n, long m, long block) {
  for (long i = 0; i < n / block; ++i) {
    const float* values = value + start[i] * block * block;
    const int32_t* columns = column + start[i];
    const long count = start[i + 1] - start[i];
    for (long r = 0; r < block; r += 4) {
      float* row = out + (i * block + r) * m;
      if (m == 1) {
        for (long s = r; s < r + 4; ++s) {
          __m256 total = _mm256_setzero_ps();
          for (long p = 0; p < count; ++p)
            for (long c = 0; c < block; c += LANES)
              total = _mm256_fmadd_ps(_mm256_loadu_ps(values + (p * block + s) * block + c),
                                      _mm256_loadu_ps(x + columns[p] * block + c), total);
          row[s - r] = sum(total);
        }
        continue;
      }
      long j = 0;
      for (; j + 2 * LANES <= m; j += 2 * LANES)
        block_rows<2>(values + r * block, columns, count, block, x + j, m, row + j);
      for (; j < m; j += LANES) block_rows<1>(values + r * block, columns, count, block, x + j, m, row + j);
    }
  }
}

// out [batch, n] = x [batch, k] @ w [k, n], of rows of w only the `count` that `active` names; n in eights.
void inferlab_active_rows(const float* w, const int32_t* active, long count, const float* x, float* out,
                          long n, long k, long batch) {
  std::fill(out, out + batch * n, 0.0f);
  for (long a = 0; a < count; ++a) {
    const float* row = w + active[a] * n;
    for (long b = 0; b < batch; ++b) {
      const __m256 factor = _mm256_set1_ps(x[b * k + active[a]]);
      float* target = out + b * n;
      for (long j = 0; j < n; j += LANES)
        _mm256_storeu_ps(target + j,
                         _mm256_fmadd_ps(factor, _mm256_loadu_ps(row + j), _mm256_loadu_ps(target + j)));
    }
  }
}
}
