// Decode attention of one layer over a paged store, on a pool of threads: the engine's own loops, alone.
//
// Shapes: B sequences with one query each, H query heads, K KV heads, G = H / K, D head dim.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "attention.h"
#include "pool.h"

struct Decode {
    int32_t sequences, heads, kv_heads, head_dim, layer, table_width;
    const float* q;          // [B][H][D], scaled already
    const int32_t* tables;   // [B][table_width]
    const int32_t* lengths;  // [B]
    float* out;              // [B][H][D]
};

struct PagedAttention {
    explicit PagedAttention(int threads) : pool(threads) {}

    void run(const Store& store, const Decode& step) {
        const int width = padded(step.head_dim), group = step.heads / step.kv_heads;
        const int rows = step.sequences * step.heads;
        const size_t stride = Partial::floats(step.head_dim);
        const int items = step.sequences * step.kv_heads, wanted = 4 * pool.threads();
        int longest = 0;
        for (int s = 0; s < step.sequences; ++s) longest = std::max(longest, step.lengths[s]);
        // With few sequences, cut each one into parts, so that every thread has something to do.
        const int parts = items >= wanted ? 1 : std::min((wanted + items - 1) / items, (longest + STRETCH - 1) / STRETCH);
        queries.assign(static_cast<size_t>(rows) * width, 0.0f);
        for (int row = 0; row < rows; ++row)
            std::memcpy(&queries[static_cast<size_t>(row) * width], step.q + static_cast<size_t>(row) * step.head_dim,
                        step.head_dim * sizeof(float));
        partials.resize(static_cast<size_t>(rows) * parts * stride);
        pool.run([&] {
            AttentionRoom room(group, step.head_dim);
            std::vector<float*> out(group);
            pool.phase(items * parts, 1, [&](int item) {
                const int part = item % parts, head = item / parts % step.kv_heads, s = item / parts / step.kv_heads;
                const int64_t length = step.lengths[s];
                const int row = s * step.heads + head * group;
                for (int i = 0; i < group; ++i) out[i] = &partials[(static_cast<size_t>(row + i) * parts + part) * stride];
                Rows keys(store, step.kv_heads, step.head_dim, step.layer, 0, head);
                Rows values(store, step.kv_heads, step.head_dim, step.layer, 1, head);
                attend(keys, values, step.tables + static_cast<size_t>(s) * step.table_width,
                       &queries[static_cast<size_t>(row) * width], group, group, static_cast<int>(length * part / parts),
                       static_cast<int>(length * (part + 1) / parts), static_cast<int>(length), room, out.data());
            });
            pool.phase(rows, pool.grain(rows), [&](int row) {
                merge(&partials[static_cast<size_t>(row) * parts * stride], parts, step.head_dim,
                      step.out + static_cast<size_t>(row) * step.head_dim);
            });
        });
    }

    Pool pool;
    std::vector<float> queries, partials;
};

extern "C" {
void* inferlab_paged(int threads) { return new PagedAttention(threads); }
void inferlab_paged_decode(void* attention, const Store* store, const Decode* step) {
    static_cast<PagedAttention*>(attention)->run(*store, *step);
}
void inferlab_paged_forget(void* attention) { delete static_cast<PagedAttention*>(attention); }
}
