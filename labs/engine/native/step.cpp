// A whole step of the model in one call: prefill chunks and decodes of many sequences, all layers.
//
// Shapes: N tokens of the step, C width, H query heads, K KV heads, D head dim, P = D filled up to vectors.
#include <algorithm>
#include <cmath>
#include <vector>

#include "attention.h"
#include "pool.h"
#include "products.h"

struct Layer {
    const float* attention_norm;
    Matrix qkv;
    const float* qkv_bias;  // or null
    const float* q_norm;    // or null
    const float* k_norm;
    Matrix o;
    const float* mlp_norm;
    Matrix gate_up;
    Matrix down;
};

struct Model {
    int32_t layers, hidden, intermediate, heads, kv_heads, head_dim;
    float epsilon;
    int32_t padding;
    const float* embedding;
    const float* cosines;  // [positions][D / 2]
    const float* sines;
    const Layer* layer;
    const float* norm;
    Matrix head;
};

// Work w has tokens first[w] to first[w + 1] of `ids`, positions from start[w] on, and the block table that
// begins at blocks[table[w]]. `samples`: the rows whose logits are wanted.
struct Step {
    int32_t works, sampled;
    const int32_t* ids;
    const int32_t* first;
    const int32_t* start;
    const int32_t* table;
    const int32_t* blocks;
    const int32_t* samples;
    float* logits;
};

namespace {

struct Token {
    int work, position;
};

constexpr int PANEL = 64;

// Some tokens of one work that attend together.
struct Group {
    int work, row, tokens, position;
};

class Runner {
public:
    Runner(const Model& model, const Store& store, int threads)
        : model(model), store(store), pool(threads), half(model.head_dim / 2), width(padded(model.head_dim)),
          qkv_width((model.heads + 2 * model.kv_heads) * model.head_dim), group(model.heads / model.kv_heads) {}

    void run(const Step& given) {
        step = &given;
        plan();
        reserve();
        pool.run([this] { work(); });
    }

private:
    void plan() {
        tokens.clear();
        together.clear();
        longest = 0;
        for (int w = 0; w < step->works; ++w) {
            int count = step->first[w + 1] - step->first[w];
            for (int t = 0; t < count; ++t) tokens.push_back({w, step->start[w] + t});
            for (int t = 0; t < count; t += MOST_TOKENS)
                together.push_back({w, step->first[w] + t, std::min(MOST_TOKENS, count - t), step->start[w] + t});
            longest = std::max(longest, step->start[w] + count);
        }
        rows = static_cast<int>(tokens.size());
        // With few sequences, cut each one into parts, so that every thread has attention to do.
        int items = static_cast<int>(together.size()) * model.kv_heads, wanted = 4 * pool.threads();
        parts = items >= wanted || pool.threads() == 1
                    ? 1
                    : std::min((wanted + items - 1) / items, (longest + STRETCH - 1) / STRETCH);
    }

    void reserve() {
        size_t n = std::max(rows, step->sampled);
        auto grow = [](auto& buffer, size_t size) {
            if (buffer.size() < size) buffer.resize(size);
        };
        size_t widest = std::max({model.hidden, model.intermediate, model.heads * model.head_dim});
        grow(stream, n * model.hidden);
        grow(input, n * widest);
        grow(codes, n * groups(widest) * GROUP);
        grow(steps, n * groups(widest));
        grow(group_sums, n * groups(widest));
        grow(qkv, n * qkv_width);
        grow(queries, n * model.heads * width);
        grow(partials, n * model.heads * parts * Partial::floats(model.head_dim));
        grow(gate_up, n * 2 * model.intermediate);
    }

    // What every thread does; they meet after each phase.
    void work() {
        AttentionRoom room(MOST_TOKENS * group, model.head_dim);
        pool.phase(rows, pool.grain(rows), [this](int row) {
            const float* from = model.embedding + static_cast<size_t>(step->ids[row]) * model.hidden;
            std::copy_n(from, model.hidden, &stream[static_cast<size_t>(row) * model.hidden]);
        });
        for (int l = 0; l < model.layers; ++l) {
            const Layer& layer = model.layer[l];
            normed(layer.attention_norm, layer.qkv);
            product(layer.qkv, {qkv.data(), static_cast<size_t>(qkv_width), layer.qkv_bias, false});
            pool.phase(rows, pool.grain(rows), [&](int row) { place(layer, l, row); });
            int items = static_cast<int>(together.size()) * model.kv_heads * parts;
            pool.phase(items, 1, [&](int item) { mix(l, item, room); });
            prepared(layer.o, [this](int row, float* out) {
                for (int h = 0; h < model.heads; ++h)
                    merge(partial(row, h, 0), parts, model.head_dim, out + h * model.head_dim);
            });
            product(layer.o, {stream.data(), static_cast<size_t>(model.hidden), nullptr, true});
            normed(layer.mlp_norm, layer.gate_up);
            size_t both = 2 * static_cast<size_t>(model.intermediate);
            product(layer.gate_up, {gate_up.data(), both, nullptr, false});
            prepared(layer.down, [this, both](int row, float* out) { swiglu(&gate_up[row * both], out); });
            product(layer.down, {stream.data(), static_cast<size_t>(model.hidden), nullptr, true});
        }
        if (step->sampled) {
            normed(model.norm, model.head, step->samples, step->sampled);
            product(model.head, {step->logits, static_cast<size_t>(model.head.rows), nullptr, false}, step->sampled);
        }
    }

    Activations activations(const Matrix& matrix) {
        return {input.data(), static_cast<size_t>(matrix.columns), codes.data(), steps.data(), group_sums.data()};
    }

    // Fill the input of a product row by row with `make(row, out)`, in the form that the matrix wants.
    template <typename Make>
    void prepared(const Matrix& matrix, Make make, int count = -1) {
        if (count < 0) count = rows;
        pool.phase(count, pool.grain(count), [&](int row) {
            make(row, &input[static_cast<size_t>(row) * matrix.columns]);
            ready_row(matrix, activations(matrix), row);
        });
    }

    void normed(const float* weight, const Matrix& matrix, const int32_t* chosen = nullptr, int count = -1) {
        auto norm_row = [&](int row, float* out) {
            size_t from = chosen ? chosen[row] : row;
            rms_norm(&stream[from * model.hidden], weight, model.hidden, out);
        };
        prepared(matrix, norm_row, count);
    }

    void product(const Matrix& matrix, const Output& out, int count = -1) {
        if (count < 0) count = rows;
        Activations x = activations(matrix);
        // Of a long prefill some rows at a time, so that their activations stay in the second cache.
        int all = units(matrix), panels = (count + PANEL - 1) / PANEL;
        pool.phase(all * panels, pool.grain(all), [&](int item) {
            int begin = item / all * PANEL;
            product_unit(matrix, item % all, x, begin, std::min(begin + PANEL, count), out);
        });
    }

    void rms_norm(const float* x, const float* weight, int size, float* out) const {
        Floats squares = {};
        float rest = 0.0f;
        int i = 0;
        for (; i + LANES <= size; i += LANES) squares += load(x + i) * load(x + i);
        for (int j = i; j < size; ++j) rest += x[j] * x[j];
        float scale = 1.0f / std::sqrt((sum(squares) + rest) / size + model.epsilon);
        i = 0;
        for (; i + LANES <= size; i += LANES) put(out + i, load(x + i) * scale * load(weight + i));
        for (; i < size; ++i) out[i] = x[i] * scale * weight[i];
    }

    void swiglu(const float* gate, float* out) const {
        const float* up = gate + model.intermediate;
        int i = 0;
        for (; i + LANES <= model.intermediate; i += LANES) {
            Floats g = load(gate + i);
            put(out + i, g / (all(1.0f) + exponential(-g)) * load(up + i));
        }
        for (; i < model.intermediate; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
    }

    // Norm and turn the queries and keys of one token; keys and values go into its slot.
    void place(const Layer& layer, int l, int row) {
        const Token& token = tokens[row];
        const int dim = model.head_dim;
        float* at = &qkv[static_cast<size_t>(row) * qkv_width];
        const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
        for (int h = 0; h < model.heads; ++h, at += dim) {
            if (layer.q_norm) rms_norm(at, layer.q_norm, dim, at);
            float* q = &queries[(static_cast<size_t>(row) * model.heads + h) * width];
            turn(at, token.position);
            for (int d = 0; d < width; ++d) q[d] = d < dim ? at[d] * scale : 0.0f;
        }
        const int32_t* blocks = step->blocks + step->table[token.work];
        int64_t slot = static_cast<int64_t>(blocks[token.position / store.block_size]) * store.block_size +
                       token.position % store.block_size;
        for (int h = 0; h < model.kv_heads; ++h, at += dim) {
            if (layer.k_norm) rms_norm(at, layer.k_norm, dim, at);
            turn(at, token.position);
            Rows(store, model.kv_heads, dim, l, 0, h).write(slot, at);
            Rows(store, model.kv_heads, dim, l, 1, h).write(slot, at + model.kv_heads * dim);
        }
    }

    void turn(float* x, int position) const {
        const float* cosine = model.cosines + static_cast<size_t>(position) * half;
        const float* sine = model.sines + static_cast<size_t>(position) * half;
        for (int i = 0; i < half; ++i) {
            float a = x[i], b = x[i + half];
            x[i] = a * cosine[i] - b * sine[i];
            x[i + half] = b * cosine[i] + a * sine[i];
        }
    }

    float* partial(int row, int head, int part) {
        size_t query = static_cast<size_t>(row) * model.heads + head;
        return &partials[(query * parts + part) * Partial::floats(model.head_dim)];
    }

    // One part of the sequence of one group of tokens, for one KV head.
    void mix(int l, int item, AttentionRoom& room) {
        int part = item % parts, head = item / parts % model.kv_heads;
        const Group& some = together[item / parts / model.kv_heads];
        int count = some.tokens * group, end = some.position + some.tokens;
        float* out[64];
        std::vector<float*> many;
        float** outs = out;
        if (count > 64) {
            many.resize(count);
            outs = many.data();
        }
        const float* q = &queries[(static_cast<size_t>(some.row) * model.heads + head * group) * width];
        std::vector<float> gathered;
        if (some.tokens > 1) {  // a token's other heads lie between
            gathered.resize(static_cast<size_t>(count) * width);
            for (int t = 0; t < some.tokens; ++t)
                std::copy_n(q + static_cast<size_t>(t) * model.heads * width, group * width, &gathered[t * group * width]);
            q = gathered.data();
        }
        for (int i = 0; i < count; ++i) outs[i] = partial(some.row + i / group, head * group + i % group, part);
        int64_t length = end;
        int begin = static_cast<int>(length * part / parts), stop = static_cast<int>(length * (part + 1) / parts);
        Rows keys(store, model.kv_heads, model.head_dim, l, 0, head);
        Rows values(store, model.kv_heads, model.head_dim, l, 1, head);
        attend(keys, values, step->blocks + step->table[some.work], q, count, group, begin, stop, some.position + 1,
               room, outs);
    }

    Model model;
    Store store;
    Pool pool;
    int half, width, qkv_width, group;
    const Step* step = nullptr;
    int rows = 0, parts = 1, longest = 0;
    std::vector<Token> tokens;
    std::vector<Group> together;
    std::vector<float> stream, input, steps, group_sums, qkv, queries, partials, gate_up;
    std::vector<int16_t> codes;
};

}  // namespace

extern "C" {

// y [rows][matrix.rows] = x [rows][matrix.columns] times the matrix, on the calling thread alone: for checks.
void inferlab_product(const Matrix* matrix, const float* x, int rows, float* y) {
    size_t all = static_cast<size_t>(rows) * groups(matrix->columns);
    std::vector<int16_t> codes(all * GROUP);
    std::vector<float> steps(all), sums(all);
    std::vector<float> values(x, x + static_cast<size_t>(rows) * matrix->columns);
    Activations in{values.data(), static_cast<size_t>(matrix->columns), codes.data(), steps.data(), sums.data()};
    for (int row = 0; row < rows; ++row) ready_row(*matrix, in, row);
    Output out{y, static_cast<size_t>(matrix->rows), nullptr, false};
    for (int unit = 0; unit < units(*matrix); ++unit) product_unit(*matrix, unit, in, 0, rows, out);
}

void* inferlab_runner(const Model* model, const Store* store, int threads) {
    return new Runner(*model, *store, threads);
}

void inferlab_step(void* runner, const Step* step) { static_cast<Runner*>(runner)->run(*step); }

void inferlab_forget(void* runner) { delete static_cast<Runner*>(runner); }

const char* inferlab_instructions() {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return "AVX-512 VNNI";
#elif defined(__AVXVNNI__)
    return "AVX-VNNI";
#else
    return "AVX2";
#endif
}
}
