// How fast a core (or all of them) moves vectors and multiplies them: what a roofline's roofs are measured by.
//
// A call runs `passes` passes over slices that belong to one thread each, so that every thread has a working
// set of its own; threads start together and the call returns when the last is done. Bytes and FLOPs are
// counted by the caller (labs/roofline/streams.py).

#include <cstdint>
#include <thread>
#include <vector>

namespace {

#ifdef __AVX512F__
constexpr int kBytes = 64;
#else
constexpr int kBytes = 32;
#endif
// Adding takes 3 to 4 cycles and two start in each: fewer independent sums would wait for one another.
constexpr int kSums = 10;

template <typename T>
struct Vector {
  typedef T type __attribute__((vector_size(kBytes)));
};
using Floats = Vector<float>::type;
constexpr int64_t kFloats = kBytes / sizeof(float);

// The compiler must not see that the next pass does the same.
inline void forget() { asm volatile("" ::: "memory"); }

template <typename V>
inline void use(V& value) { asm volatile("" : "+x"(value)); }

void read(const float* a, int64_t n, int64_t passes) {
  constexpr int64_t step = 8 * kFloats;
  Floats sums[8] = {};
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i + step <= n; i += step)
      for (int j = 0; j < 8; j++) sums[j] += *reinterpret_cast<const Floats*>(a + i + j * kFloats);
    forget();
  }
  for (auto& sum : sums) use(sum);
}

void copy(float* a, const float* b, int64_t n, int64_t passes) {
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i + kFloats <= n; i += kFloats)
      *reinterpret_cast<Floats*>(a + i) = *reinterpret_cast<const Floats*>(b + i);
    forget();
  }
}

void triad(float* a, const float* b, const float* c, int64_t n, int64_t passes) {
  Floats scale;
  for (int j = 0; j < kFloats; j++) scale[j] = 3.0f;
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int64_t i = 0; i + kFloats <= n; i += kFloats)
      *reinterpret_cast<Floats*>(a + i) =
          *reinterpret_cast<const Floats*>(b + i) + scale * *reinterpret_cast<const Floats*>(c + i);
    forget();
  }
}

// `chains` independent multiply-adds of V a turn; with one chain each waits for the one before.
template <typename V, int chains>
[[gnu::noinline]] void multiply_add(int64_t turns) {
  V sums[chains], factor = {}, addend = {};
  use(factor);
  use(addend);
#pragma GCC unroll 16
  for (int j = 0; j < chains; j++) sums[j] = addend;  // one by one: as an array they would stay in memory
  for (int64_t turn = 0; turn < turns; turn++) {
#pragma GCC unroll 16
    for (int j = 0; j < chains; j++) {
      sums[j] = sums[j] * factor + addend;
      use(sums[j]);
    }
  }
}

template <typename Body>
void on_threads(int threads, Body body) {
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(body, t);
  body(0);
  for (auto& other : others) other.join();
}

}  // namespace

extern "C" {

// kind 0: read a; 1: a = b; 2: a = b + 3 c. `n` floats of each array belong to each thread.
void inferlab_stream(int kind, float* a, const float* b, const float* c, int64_t n, int64_t passes, int threads) {
  on_threads(threads, [=](int t) {
    const int64_t from = t * n;
    if (kind == 0) read(a + from, n, passes);
    if (kind == 1) copy(a + from, b + from, n, passes);
    if (kind == 2) triad(a + from, b + from, c + from, n, passes);
  });
}

// kind 0: fp32 vectors; 1: fp64 vectors; 2: fp32, one number at a time; 3: fp32 vectors, one chain.
void inferlab_multiply_add(int kind, int64_t turns, int threads) {
  on_threads(threads, [=](int) {
    if (kind == 0) multiply_add<Floats, kSums>(turns);
    if (kind == 1) multiply_add<Vector<double>::type, kSums>(turns);
    if (kind == 2) multiply_add<float, kSums>(turns);
    if (kind == 3) multiply_add<Floats, 1>(turns);
  });
}

int inferlab_vector_bytes() { return kBytes; }
int inferlab_chains() { return kSums; }
}
