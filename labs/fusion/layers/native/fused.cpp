// Fused operators of a decoder block in one thread: what lies between their inputs and outputs stays in registers or
// in a row of the first-level cache. Shapes as in labs/fusion/layers/kernels.py; fp32, but for
// the codes of INT8 products.
#pragma GCC optimize("fast-math")  // sums in any order and exp in vectors; inputs are finite
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "int8_product.h"

namespace {

// e^x for x in [-87, 87] to about 2 ulp: 2^n times a polynomial in the rest, all of it in vectors.
inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
    const float n = __builtin_floorf(x * 1.44269504f + 0.5f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return p * power;
}

// total = residual + delta; out = total / rms(total) * weight. The row is read once and still in L1 for its second use.
void add_norm(const float* __restrict residual, const float* __restrict delta, const float* __restrict weight,
              float* __restrict total, float* __restrict out, int width, float epsilon) {
    float sum = 0;
    for (int i = 0; i < width; ++i) {
        total[i] = residual[i] + delta[i];
        sum += total[i] * total[i];
    }
    const float factor = 1.0f / std::sqrt(sum / width + epsilon);
    for (int i = 0; i < width; ++i) out[i] = total[i] * factor * weight[i];
}

// Codes of a row, half away from zero, and the scale that makes its largest magnitude 127 of them.
float quantise(const float* __restrict row, int8_t* __restrict codes, int width) {
    float most = 1e-12f;  // labs.formulas.operators.LEAST_MAGNITUDE
    for (int i = 0; i < width; ++i) most = std::fmax(most, std::fabs(row[i]));
    const float scale = most / 127.0f;
    for (int i = 0; i < width; ++i) {
        const float steps = row[i] / scale;
        codes[i] = static_cast<int8_t>(static_cast<int32_t>(steps + std::copysign(0.5f, steps)));
    }
    return scale;
}

void turn(const float* __restrict from, const float* cosine, const float* sine, float* __restrict to, int half) {
    for (int i = 0; i < half; ++i) {
        const float a = from[i], b = from[half + i];
        to[i] = a * cosine[i] - b * sine[i];
        to[half + i] = b * cosine[i] + a * sine[i];
    }
}

}  // namespace

extern "C" {

void fused_add_rms_norm(const float* residual, const float* delta, const float* weight, float* total, float* out,
                        int rows, int width, float epsilon) {
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = row * width;
        add_norm(residual + at, delta + at, weight, total + at, out + at, width, epsilon);
    }
}

// The normed row never leaves L1: its codes are what is written.
void fused_add_rms_norm_quantise(const float* residual, const float* delta, const float* weight, float* total,
                                 int8_t* codes, float* scales, int rows, int width, float epsilon) {
    std::vector<float> normed(width);
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = row * width;
        add_norm(residual + at, delta + at, weight, total + at, normed.data(), width, epsilon);
        scales[row] = quantise(normed.data(), codes + at, width);
    }
}

// out [rows, columns] = codes [rows, depth] times weights [columns, depth], scaled by row and by column.
void int8_product(const int8_t* codes, const float* row_scales, const int8_t* weights, const float* column_scales,
                  float* out, int rows, int columns, int depth) {
    multiply({codes, weights, rows, columns, depth}, [=](int64_t row, int column, int32_t sum) {
        out[row * columns + column] = static_cast<float>(sum) * row_scales[row] * column_scales[column];
    });
}

// The same with nothing fused: the sums themselves.
void int8_sums(const int8_t* codes, const int8_t* weights, int32_t* out, int rows, int columns, int depth) {
    multiply({codes, weights, rows, columns, depth},
             [=](int64_t row, int column, int32_t sum) { out[row * columns + column] = sum; });
}

// out = silu(gate) * up; rows of gate and up lie `stride` apart: packed side by side, or each its own tensor.
void fused_swiglu(const float* __restrict gates, const float* __restrict ups, float* __restrict out, int rows, int width,
                  int64_t stride) {
    for (int64_t row = 0; row < rows; ++row) {
        const float *gate = gates + row * stride, *up = ups + row * stride;
        float* o = out + row * width;
        for (int i = 0; i < width; ++i) o[i] = gate[i] / (1.0f + exponential(-gate[i])) * up[i];
    }
}

// Turns the heads of a tensor [tokens, heads, head_dim] and stores them by head; without angles copies them.
static void place_heads(const float* from, int64_t from_stride, const float* cosine, const float* sine, float* to,
                        int64_t to_stride, int tokens, int heads, int head_dim) {
    const int half = head_dim / 2;
    for (int64_t token = 0; token < tokens; ++token)
        for (int h = 0; h < heads; ++h) {
            const float* head = from + token * from_stride + h * head_dim;
            float* place = to + h * to_stride + token * head_dim;
            if (cosine)
                turn(head, cosine + token * half, sine + token * half, place, half);
            else
                std::memcpy(place, head, head_dim * sizeof(float));
        }
}

// Q and K turned, and V where it has a place (a cache), each stored by head; `stride`s are those of a token's row.
void fused_rope(const float* q, const float* k, const float* v, int64_t q_stride, int64_t kv_stride, const float* cosine,
                const float* sine, float* q_out, float* k_out, float* v_out, int tokens, int heads, int kv_heads,
                int head_dim, int64_t cache_stride) {
    place_heads(q, q_stride, cosine, sine, q_out, static_cast<int64_t>(tokens) * head_dim, tokens, heads, head_dim);
    place_heads(k, kv_stride, cosine, sine, k_out, cache_stride, tokens, kv_heads, head_dim);
    if (v_out) place_heads(v, kv_stride, nullptr, nullptr, v_out, cache_stride, tokens, kv_heads, head_dim);
}
}
