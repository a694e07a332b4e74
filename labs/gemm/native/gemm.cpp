// A ladder of matrix products, each rung mending one thing of the one below it; and the ceilings they climb to.
// All in fp32 and row-major: C[m,n] = A[m,k] B[k,n].

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace {

// As many accumulators as the registers hold beside two vectors of B and one broadcast number of A: 12 of 16 with
// AVX2, 28 of 32 with AVX-512. They must outnumber latency times throughput of the FMA, which is 8 on most cores.
#ifdef __AVX512F__
constexpr long LANES = 16, ROWS = 14;
#else
constexpr long LANES = 8, ROWS = 6;
#endif
constexpr long COLUMNS = 2 * LANES;
constexpr long CHAINS = 12, CHAIN_NUMBERS = 256;

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef float Loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));  // from any address

struct Product {
    const float* a;
    const float* b;
    float* c;
    long m, n, k;
    long lda, ldb, ldc;  // numbers from one row to the next
};

// Where the compiler may not vectorise, a loop shows what the order of its accesses alone is worth.
#define SCALAR __attribute__((noinline, optimize("no-tree-vectorize")))

// Rung 0. B is read down a column: every number of it lies in another cache line.
SCALAR void dot_order(const Product& p) {
    for (long i = 0; i < p.m; ++i)
        for (long j = 0; j < p.n; ++j) {
            float sum = 0;
            for (long l = 0; l < p.k; ++l) sum += p.a[i * p.lda + l] * p.b[l * p.ldb + j];
            p.c[i * p.ldc + j] = sum;
        }
}

// Rung 1. The same products in another order: B and C are read along their rows.
SCALAR void row_order(const Product& p) {
    for (long i = 0; i < p.m; ++i) {
        float* __restrict c = p.c + i * p.ldc;
        std::memset(c, 0, sizeof(float) * p.n);
        for (long l = 0; l < p.k; ++l) {
            const float* __restrict b = p.b + l * p.ldb;
            const float a = p.a[i * p.lda + l];
            for (long j = 0; j < p.n; ++j) c[j] += a * b[j];
        }
    }
}

inline void clear(const Product& p) {
    for (long i = 0; i < p.m; ++i) std::memset(p.c + i * p.ldc, 0, sizeof(float) * p.n);
}

// The inner loop of rungs 2 and 3: a row of C takes up `k` rows of B, a vector at a time.
inline void add_rows(const float* a, const float* b, long ldb, float* __restrict c, long n, long k) {
    for (long l = 0; l < k; ++l) {
        const float* __restrict row = b + l * ldb;
        const float factor = a[l];
        for (long j = 0; j < n; ++j) c[j] += factor * row[j];
    }
}

// Rung 2. The compiler turns the inner loop into vector instructions.
void vectorised(const Product& p) {
    clear(p);
    for (long i = 0; i < p.m; ++i) add_rows(p.a + i * p.lda, p.b, p.ldb, p.c + i * p.ldc, p.n, p.k);
}

// The steps of rung 3, in order: `each(i, j, width, l, depth)` updates C[i, j..] from a tile of B.
template <typename Each>
inline void for_tiles(long m, long n, long k, long tile, Each each) {
    for (long j = 0; j < n; j += tile)
        for (long l = 0; l < k; l += tile)
            for (long i = 0; i < m; ++i) each(i, j, std::min(tile, n - j), l, std::min(tile, k - l));
}

// Rung 3. A tile of B stays in the cache while all rows of A pass by it.
void tiled(const Product& p, long tile) {
    clear(p);
    for_tiles(p.m, p.n, p.k, tile, [&p](long i, long j, long width, long l, long depth) {
        add_rows(p.a + i * p.lda + l, p.b + l * p.ldb + j, p.ldb, p.c + i * p.ldc + j, width, depth);
    });
}

// C[ROWS, COLUMNS] += A B over `k`, C in registers throughout. Of A a step of `l` is `a_step` numbers further and a
// row `a_row`; of B a step is `b_step`.
inline void micro_kernel(const float* a, long a_row, long a_step, const float* b, long b_step, float* c, long ldc,
                         long k) {
    Vector sum[ROWS][2] = {};
    for (long l = 0; l < k; ++l) {
        const Vector left = *reinterpret_cast<const Loose*>(b + l * b_step);
        const Vector right = *reinterpret_cast<const Loose*>(b + l * b_step + LANES);
#pragma GCC unroll 16
        for (long i = 0; i < ROWS; ++i) {
            const float factor = a[i * a_row + l * a_step];
            sum[i][0] += factor * left;
            sum[i][1] += factor * right;
        }
    }
#pragma GCC unroll 16
    for (long i = 0; i < ROWS; ++i) {
        *reinterpret_cast<Loose*>(c + i * ldc) += sum[i][0];
        *reinterpret_cast<Loose*>(c + i * ldc + LANES) += sum[i][1];
    }
}

// What the micro-kernel's shape leaves over at the right and the bottom.
void fringe(const Product& p, long i0, long j0, long rows, long columns, long l0, long k) {
    for (long i = i0; i < i0 + rows; ++i)
        add_rows(p.a + i * p.lda + l0, p.b + l0 * p.ldb + j0, p.ldb, p.c + i * p.ldc + j0, columns, k);
}

struct Blocks {
    long m, n, k;
};

// Rung 4. Registers as the innermost cache: a number of C is loaded and stored once a block, not once a product.
// A and B are read where they lie.
void register_blocked(const Product& p, Blocks block) {
    clear(p);
    for (long j0 = 0; j0 < p.n; j0 += block.n)
        for (long l0 = 0; l0 < p.k; l0 += block.k) {
            const long n = std::min(block.n, p.n - j0), k = std::min(block.k, p.k - l0);
            for (long i = 0; i < p.m; i += ROWS) {
                const long rows = std::min(ROWS, p.m - i);
                long j = j0;
                if (rows == ROWS)
                    for (; j + COLUMNS <= j0 + n; j += COLUMNS)
                        micro_kernel(p.a + i * p.lda + l0, p.lda, 1, p.b + l0 * p.ldb + j, p.ldb,
                                     p.c + i * p.ldc + j, p.ldc, k);
                if (j < j0 + n) fringe(p, i, j, rows, j0 + n - j, l0, k);
            }
        }
}

struct Free {
    void operator()(float* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer buffer(long numbers) {
    return Buffer(static_cast<float*>(std::aligned_alloc(64, (numbers * sizeof(float) + 63) / 64 * 64)));
}

long round_up(long value, long step) { return (value + step - 1) / step * step; }

// [k, n] of B as panels of COLUMNS, each read from end to end by the micro-kernel; filled up with zeros.
void pack_b(const float* b, long ldb, long n, long k, float* out) {
    for (long j = 0; j < n; j += COLUMNS) {
        const long width = std::min(COLUMNS, n - j);
        for (long l = 0; l < k; ++l, out += COLUMNS) {
            std::memcpy(out, b + l * ldb + j, sizeof(float) * width);
            std::memset(out + width, 0, sizeof(float) * (COLUMNS - width));
        }
    }
}

// [m, k] of A as panels of ROWS, transposed: the micro-kernel finds its ROWS numbers of a step side by side.
void pack_a(const float* a, long lda, long m, long k, float* out) {
    for (long i = 0; i < m; i += ROWS)
        for (long l = 0; l < k; ++l)
            for (long row = 0; row < ROWS; ++row) *out++ = i + row < m ? a[(i + row) * lda + l] : 0.0f;
}

// The fringe is computed in full, into a tile of its own, of which the part that exists is added to C.
void macro_kernel(const float* a, const float* b, float* c, long ldc, long m, long n, long k) {
    alignas(64) float edge[ROWS * COLUMNS];
    for (long j = 0; j < n; j += COLUMNS)
        for (long i = 0; i < m; i += ROWS) {
            const long rows = std::min(ROWS, m - i), columns = std::min(COLUMNS, n - j);
            if (rows == ROWS && columns == COLUMNS) {
                micro_kernel(a + i * k, 1, ROWS, b + j * k, COLUMNS, c + i * ldc + j, ldc, k);
                continue;
            }
            std::memset(edge, 0, sizeof edge);
            micro_kernel(a + i * k, 1, ROWS, b + j * k, COLUMNS, edge, COLUMNS, k);
            for (long row = 0; row < rows; ++row)
                for (long column = 0; column < columns; ++column)
                    c[(i + row) * ldc + j + column] += edge[row * COLUMNS + column];
        }
}

// Rung 5. Goto's algorithm (Goto and van de Geijn, ACM TOMS 34(3), 2008; its five loops as in BLIS): a panel of B for
// the last-level cache, a block of A for L2, a sliver of B for L1, a tile of C in registers.
void packed(const Product& p, Blocks block) {
    clear(p);
    const long widest = std::min(block.n, round_up(p.n, COLUMNS)), deepest = std::min(block.k, p.k);
    const Buffer b = buffer(round_up(widest, COLUMNS) * deepest);
    const Buffer a = buffer(round_up(std::min(block.m, p.m), ROWS) * deepest);
    for (long j = 0; j < p.n; j += block.n)
        for (long l = 0; l < p.k; l += block.k) {
            const long n = std::min(block.n, p.n - j), k = std::min(block.k, p.k - l);
            pack_b(p.b + l * p.ldb + j, p.ldb, n, k, b.get());
            for (long i = 0; i < p.m; i += block.m) {
                const long m = std::min(block.m, p.m - i);
                pack_a(p.a + i * p.lda + l, p.lda, m, k, a.get());
                macro_kernel(a.get(), b.get(), p.c + i * p.ldc + j, p.ldc, m, n, k);
            }
        }
}

void together(long threads, const std::function<void(long)>& work) {
    std::vector<std::thread> others;
    for (long t = 1; t < threads; ++t) others.emplace_back(work, t);
    work(0);
    for (std::thread& other : others) other.join();
}

// Rung 6. The longer side of C is cut into as many strips as there are threads, which share nothing but the inputs.
void threaded(const Product& p, Blocks block, long threads) {
    const bool across = p.n >= p.m;
    const long length = across ? p.n : p.m, step = across ? COLUMNS : ROWS;
    const long strip = round_up((length + threads - 1) / threads, step);
    together(threads, [&](long t) {
        const long first = t * strip, count = std::min(strip, length - first);
        if (count <= 0) return;
        Product part = p;
        if (across) {
            part.b += first;
            part.c += first;
            part.n = count;
        } else {
            part.a += first * p.lda;
            part.c += first * p.ldc;
            part.m = count;
        }
        packed(part, block);
    });
}

// Chains of multiply-adds that depend each on its own last result, and on nothing in memory.
template <typename T>
SCALAR float chains(long steps, float factor, float addend) {
    T sum[CHAINS], f = T{} + factor, s = T{} + addend;
    for (T& one : sum) one = s;
    for (long step = 0; step < steps; ++step)
#pragma GCC unroll 16
        for (long i = 0; i < CHAINS; ++i) sum[i] = sum[i] * f + s;
    T all = T{};
    for (const T& one : sum) all += one;
    if constexpr (sizeof(T) == sizeof(float)) {
        return all;
    } else {
        return all[0];
    }
}

// The dot product of two short vectors, over and over: one chain, its operands in L1.
SCALAR float dot_chain(long steps) {
    float a[CHAIN_NUMBERS], b[CHAIN_NUMBERS], sum = 0;
    std::fill_n(a, CHAIN_NUMBERS, 0.5f);
    std::fill_n(b, CHAIN_NUMBERS, 0.5f);
    asm volatile("" : : "r"(a), "r"(b) : "memory");  // or the compiler knows the sum
    for (long step = 0; step < steps; ++step) {
        for (long l = 0; l < CHAIN_NUMBERS; ++l) sum += a[l] * b[l];
        asm volatile("" : "+x"(sum));
    }
    return sum;
}

}  // namespace

extern "C" {

long inferlab_gemm_lanes() { return LANES; }
long inferlab_gemm_rows() { return ROWS; }
long inferlab_gemm_columns() { return COLUMNS; }

// `rung` 0 to 6; `tile` of rung 3, blocks of rungs 4 to 6.
void inferlab_gemm(long rung, const float* a, const float* b, float* c, long m, long n, long k, long tile,
                   long block_m, long block_n, long block_k, long threads) {
    const Product p{a, b, c, m, n, k, k, n, n};
    const Blocks block{block_m, block_n, block_k};
    switch (rung) {
        case 0: return dot_order(p);
        case 1: return row_order(p);
        case 2: return vectorised(p);
        case 3: return tiled(p, tile);
        case 4: return register_blocked(p, block);
        case 5: return packed(p, block);
        default: return threaded(p, block, threads);
    }
}

// The steps of rung 3, five numbers each, into `out` (none: only counted); gives how many there are.
long inferlab_gemm_tile_steps(long m, long n, long k, long tile, long* out) {
    long count = 0;
    for_tiles(m, n, k, tile, [&](long i, long j, long width, long l, long depth) {
        if (out) {
            const long step[5] = {i, j, width, l, depth};
            std::copy_n(step, 5, out + 5 * count);
        }
        ++count;
    });
    return count;
}

// A ceiling: 0 one chain of scalars, 1 twelve chains of scalars, 2 twelve chains of vectors. Gives the FLOPs done.
double inferlab_gemm_ceiling(long kind, long steps, long threads, float* out) {
    together(threads, [&](long t) {
        if (kind == 0) out[t] = dot_chain(steps);
        if (kind == 1) out[t] = chains<float>(steps, 0.999f, 0.001f);
        if (kind == 2) out[t] = chains<Vector>(steps, 0.999f, 0.001f);
    });
    const long a_step = kind == 0 ? CHAIN_NUMBERS : kind == 1 ? CHAINS : CHAINS * LANES;
    return 2.0 * a_step * steps * threads;
}

// Reads a buffer from end to end, `times` over, eight chains at once: the bandwidth of the cache that holds it.
float inferlab_gemm_read(const float* data, long numbers, long times) {
    Vector sum[8] = {};
    for (long turn = 0; turn < times; ++turn)
        for (long i = 0; i + 8 * LANES <= numbers; i += 8 * LANES)
#pragma GCC unroll 8
            for (long part = 0; part < 8; ++part)
                sum[part] += *reinterpret_cast<const Loose*>(data + i + part * LANES);
    Vector all = {};
    for (const Vector& one : sum) all += one;
    return all[0];
}
}
