// Attention that reads the KV store's blocks in place, a stretch of rows at a time (online softmax).
//
// Shapes: Q queries that share one KV head (G = H / K of each token, a few tokens), S tokens seen, D head dim,
// P = D filled up to whole vectors with zeros.
#pragma once

#include <cmath>
#include <limits>

#include "vectors.h"

enum KVKind : int32_t { KV_FP32 = 0, KV_BF16 = 1, KV_INT8 = 2 };

// [layers][keys, values][heads][slots][head_dim]; `scales` the same without head_dim, INT8 only.
struct Store {
    int32_t kind;
    int32_t block_size;
    int64_t slots;
    void* data;
    float* scales;
};

constexpr int STRETCH = 64;  // rows of keys at a time: they and their values stay in the first cache
constexpr int MOST_TOKENS = 4;

inline int padded(int head_dim) { return (head_dim + LANES - 1) / LANES * LANES; }

// The rows of one layer's keys or values for one head.
struct Rows {
    const Store& store;
    int64_t head;  // first slot of this head, counted over all
    int head_dim;

    Rows(const Store& store, int heads, int head_dim, int layer, int part, int head)
        : store(store),
          head(((static_cast<int64_t>(layer) * 2 + part) * heads + head) * store.slots),
          head_dim(head_dim) {}

    void write(int64_t slot, const float* values) const {
        int64_t at = (head + slot) * head_dim;
        if (store.kind == KV_FP32) {
            std::memcpy(static_cast<float*>(store.data) + at, values, head_dim * sizeof(float));
        } else if (store.kind == KV_BF16) {
            for (int d = 0; d < head_dim; ++d) static_cast<uint16_t*>(store.data)[at + d] = bf16(values[d]);
        } else {
            float most = 1e-12f;
            for (int d = 0; d < head_dim; ++d) most = std::max(most, std::fabs(values[d]));
            float step = most / 127;
            store.scales[head + slot] = step;
            for (int d = 0; d < head_dim; ++d)
                static_cast<int8_t*>(store.data)[at + d] = static_cast<int8_t>(std::nearbyint(values[d] / step));
        }
    }

    // Where the P floats of positions `first` to `first + count` are: in place where they can be read as they
    // are, else unpacked to `room [count][P]`.
    void find(const int32_t* blocks, int first, int count, float* room, const float** at) const {
        const int size = store.block_size, width = padded(head_dim);
        int block = first / size, offset = first % size;
        for (int i = 0; i < count; ++block, offset = 0) {
            int64_t slot = head + static_cast<int64_t>(blocks[block]) * size;
            for (; offset < size && i < count; ++offset, ++i) at[i] = row(slot + offset, room + i * width);
        }
    }

private:
    const float* row(int64_t slot, float* room) const {
        int64_t at = slot * head_dim;
        if (store.kind == KV_FP32) {
            const float* values = static_cast<const float*>(store.data) + at;
            if (head_dim % LANES == 0) return values;
            return unpack(values, 1.0f, room);
        }
        if (store.kind == KV_BF16) return unpack(static_cast<const uint16_t*>(store.data) + at, 1.0f, room);
        return unpack(static_cast<const int8_t*>(store.data) + at, store.scales[slot], room);
    }

    template <typename Stored>
    const float* unpack(const Stored* values, float scale, float* room) const {
        int d = 0;
        for (; d + LANES <= head_dim; d += LANES) put(room + d, load(values + d) * scale);
        for (; d < padded(head_dim); ++d) room[d] = d < head_dim ? widen(values[d]) * scale : 0.0f;
        return room;
    }
    static float widen(float value) { return value; }
    static float widen(uint16_t value) { return ::widen(value); }
    static float widen(int8_t value) { return value; }
};

// Scores of N queries with four keys each time; `q` is scaled already.
template <int N>
inline void score(const float* q, int width, const float** keys, int count, float* scores) {
    for (int i = 0; i < count; i += 4) {
        Floats acc[N][4] = {};
        const float* row[4];
        for (int r = 0; r < 4; ++r) row[r] = keys[std::min(i + r, count - 1)];
        for (int d = 0; d < width; d += LANES) {
            Floats a[N];  // with the sums and one key at a time, sixteen registers for three queries
            for (int n = 0; n < N; ++n) a[n] = held(load(q + n * width + d));
            for (int r = 0; r < 4; ++r) {
                Floats k = held(load(row[r] + d));
                for (int n = 0; n < N; ++n) acc[n][r] += a[n] * k;
            }
        }
        for (int n = 0; n < N; ++n)
            _mm_storeu_ps(scores + n * STRETCH + i, sums(acc[n][0], acc[n][1], acc[n][2], acc[n][3]));
    }
}

// acc[n] += sum over rows of weight[n][row] * value[row], V vectors of the width from column `d` on.
template <int N, int V>
inline void mix(const float* weights, const float** values, int count, int d, int width, float* acc) {
    Floats sum[N][V];
    for (int n = 0; n < N; ++n)
        for (int v = 0; v < V; ++v) sum[n][v] = load(acc + n * width + d + v * LANES);
    for (int i = 0; i < count; ++i) {
        Floats weight[N];
        for (int n = 0; n < N; ++n) weight[n] = held(all(weights[n * STRETCH + i]));
        for (int v = 0; v < V; ++v) {
            Floats row = held(load(values[i] + d + v * LANES));
            for (int n = 0; n < N; ++n) sum[n][v] += weight[n] * row;
        }
    }
    for (int n = 0; n < N; ++n)
        for (int v = 0; v < V; ++v) put(acc + n * width + d + v * LANES, sum[n][v]);
}

template <int N>
inline void mix_all(const float* weights, const float** values, int count, int width, float* acc) {
    int d = 0;
    for (; d + 4 * LANES <= width; d += 4 * LANES) mix<N, 4>(weights, values, count, d, width, acc);
    for (; d < width; d += LANES) mix<N, 1>(weights, values, count, d, width, acc);
}

// What one stretch of a sequence contributes to one query: the weighted sum of values, the largest score and
// the sum of the weights relative to it. Stretches are merged by `Partial::merge`.
struct Partial {
    float most;
    float total;

    static size_t floats(int head_dim) { return 2 + padded(head_dim); }
};

struct AttentionRoom {
    std::vector<float> keys, values, scores;
    AttentionRoom(int most_queries, int head_dim)
        : keys(STRETCH * padded(head_dim)),
          values(STRETCH * padded(head_dim)),
          scores(static_cast<size_t>(most_queries) * STRETCH) {}
};

// Positions `begin` to `end` for `queries` queries, `group` for each token; token t sees those before
// `limit + t` only. `out`: for query i at `out + i * stride` most, total, then the P sums.
inline void attend(const Rows& keys, const Rows& values, const int32_t* blocks, const float* q, int queries,
                   int group, int begin, int end, int limit, AttentionRoom& room, float** out) {
    const int width = padded(keys.head_dim);
    float acc[64 * 16];  // replaced by heap below when it does not fit
    std::vector<float> large;
    float* sums = acc;
    if (static_cast<size_t>(queries) * width > sizeof acc / sizeof *acc) {
        large.resize(static_cast<size_t>(queries) * width);
        sums = large.data();
    }
    std::memset(sums, 0, static_cast<size_t>(queries) * width * sizeof(float));
    for (int i = 0; i < queries; ++i) {
        out[i][0] = -std::numeric_limits<float>::infinity();
        out[i][1] = 0.0f;
    }
    const float* at[STRETCH];
    for (int first = begin; first < end; first += STRETCH) {
        int count = std::min(STRETCH, end - first);
        keys.find(blocks, first, count, room.keys.data(), at);
        int i = 0;
        if (queries % 3 == 0)
            for (; i < queries; i += 3) score<3>(q + i * width, width, at, count, &room.scores[i * STRETCH]);
        for (; i + 2 <= queries; i += 2) score<2>(q + i * width, width, at, count, &room.scores[i * STRETCH]);
        if (i < queries) score<1>(q + i * width, width, at, count, &room.scores[i * STRETCH]);
        for (i = 0; i < queries; ++i) {
            float* scores = &room.scores[i * STRETCH];
            int seen = std::clamp(limit + i / group - first, 0, count);
            Floats most = all(-std::numeric_limits<float>::infinity());
            for (int s = seen; s < (count + LANES - 1) / LANES * LANES; ++s) scores[s] = most[0];
            for (int s = 0; s < count; s += LANES) most = largest(most, load(scores + s));
            float before = out[i][0], now = std::max(before, maximum(most));
            if (seen == 0) {  // exp(-inf - -inf) would be NaN
                std::memset(scores, 0, STRETCH * sizeof(float));
                continue;
            }
            if (before < now && before > -std::numeric_limits<float>::infinity()) {
                float shrink = std::exp(before - now);
                out[i][1] *= shrink;
                for (int d = 0; d < width; d += LANES) put(sums + i * width + d, load(sums + i * width + d) * shrink);
            }
            Floats total = {};
            for (int s = 0; s < count; s += LANES) {
                Floats weight = exponential(load(scores + s) - all(now));
                put(scores + s, weight);
            }
            for (int s = seen; s < (count + LANES - 1) / LANES * LANES; ++s) scores[s] = 0.0f;
            for (int s = 0; s < count; s += LANES) total += load(scores + s);
            out[i][0] = now;
            out[i][1] += sum(total);
        }
        values.find(blocks, first, count, room.values.data(), at);
        i = 0;
        if (queries % 3 == 0)
            for (; i < queries; i += 3) mix_all<3>(&room.scores[i * STRETCH], at, count, width, sums + i * width);
        for (; i + 2 <= queries; i += 2) mix_all<2>(&room.scores[i * STRETCH], at, count, width, sums + i * width);
        if (i < queries) mix_all<1>(&room.scores[i * STRETCH], at, count, width, sums + i * width);
    }
    for (int i = 0; i < queries; ++i) std::memcpy(out[i] + 2, sums + i * width, width * sizeof(float));
}

// The stretches of one query, `[parts][2 + P]`, as one vector `[D]`.
inline void merge(const float* partials, int parts, int head_dim, float* mixed) {
    size_t stride = Partial::floats(head_dim);
    float most = -std::numeric_limits<float>::infinity(), total = 0.0f;
    for (int p = 0; p < parts; ++p) most = std::max(most, partials[p * stride]);
    for (int d = 0; d < head_dim; ++d) mixed[d] = 0.0f;
    for (int p = 0; p < parts; ++p) {
        const float* part = partials + p * stride;
        if (part[1] == 0.0f) continue;
        float share = std::exp(part[0] - most);
        total += share * part[1];
        for (int d = 0; d < head_dim; ++d) mixed[d] += share * part[2 + d];
    }
    for (int d = 0; d < head_dim; ++d) mixed[d] /= total;
}
