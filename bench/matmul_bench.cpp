// SPDX-License-Identifier: Apache-2.0
// Our matrix product and oneDNN's, called directly with weights in the layout it likes best, in
// turn on the same numbers. `matmul_bench [1|2] [NAME...]`: only that number of threads, only
// cases whose name holds one of the names.
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <string>
#include <vector>

#include "device/cpu/gemm.h"
#include "device/cpu/packed_matrix.h"
#include "device/cpu/pool.h"

namespace {

using namespace tutti::cpu;
using dnnl::memory;
using tutti::DType;

// post: b bias, g gelu_tanh, s silu, m times a row, r plus a matrix like the output.
struct Case {
  const char* name;
  int64_t m, n, k;
  const char* post;
};

constexpr Case kCases[] = {
    {"flux.qkv", 64, 384, 128, "b"},
    {"flux.out", 64, 128, 128, "bmr"},
    {"flux.ff1", 64, 512, 128, "bg"},
    {"flux.ff2", 64, 128, 512, "bmr"},
    {"flux.context.qkv", 24, 384, 128, "b"},
    {"flux.context.ff1", 24, 512, 128, "bg"},
    {"flux.context.ff2", 24, 128, 512, "bmr"},
    {"flux.single.mlp", 88, 512, 128, "bg"},
    {"flux.single.out", 88, 128, 640, "bmr"},
    {"flux.modulation", 1, 4096, 128, "b"},
    {"flux.embed", 1, 128, 256, "bs"},
    {"llama.qkv", 24, 128, 64, ""},
    {"llama.gate", 24, 176, 64, "s"},
    {"llama.down", 24, 64, 176, "r"},
    {"gpt2.qkv", 24, 192, 64, "b"},
    {"gpt2.ff1", 24, 256, 64, "bg"},
    {"gpt2.ff2", 24, 64, 256, "br"},
    {"clip.qkv", 20, 192, 64, "b"},
    {"clip.ff2", 20, 64, 128, "br"},
    {"wide.qkv", 1024, 3072, 1024, "b"},
    {"wide.out", 1024, 1024, 1024, "bmr"},
    {"wide.ff1", 1024, 4096, 1024, "bg"},
    {"wide.ff2", 1024, 1024, 4096, "bmr"},
    {"wide.single.mlp", 1152, 4096, 1024, "bg"},
    {"wide.single.qkv", 1152, 3072, 1024, "b"},
    {"wide.single.out", 1152, 1024, 5120, "bmr"},
    {"wide.context.qkv", 128, 3072, 1024, "b"},
    {"wide.context.ff1", 128, 4096, 1024, "bg"},
    {"wide.context.ff2", 128, 1024, 4096, "bmr"},
    {"wide.embed", 1024, 1024, 64, "b"},
    {"wide.last", 1024, 64, 1024, "b"},
    {"wide.modulation", 1, 20480, 1024, "b"},
    {"decode.qkv", 1, 3072, 1024, ""},
    {"decode.out", 1, 1024, 1024, "r"},
    {"decode.gate", 1, 5632, 1024, ""},
    {"decode.down", 1, 1024, 2816, "r"},
    {"decode.head", 1, 4096, 1024, ""},
    {"narrow.128", 1024, 128, 1024, "b"},
    {"narrow.256", 1024, 256, 512, "b"},
    {"square.256", 256, 256, 256, ""},
    {"square.1024", 1024, 1024, 1024, ""},
    {"rows.4", 4, 4096, 1024, ""},
    {"rows.16", 16, 4096, 1024, ""},
};

constexpr int kRounds = 15;
constexpr double kBlockSeconds = 0.008;
constexpr double kSampleSeconds = 5e-5;  // so many calls are timed at once
constexpr int64_t kNear = 8 << 20;       // weights take turns so that they come from beyond the
constexpr int64_t kFar = 192 << 20;      // second-level cache, or for single rows from memory

// Seconds; of this thread's processor time, where one thread does all the work.
double now(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::vector<float> numbers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> all(static_cast<size_t>(count));
  for (float& x : all) x = uniform(random);
  return all;
}

struct Numbers {
  explicit Numbers(const Case& c)
      : a(numbers(c.m * c.k, 1)),
        b(numbers(c.k * c.n, 2)),
        bias(numbers(c.n, 3)),
        row(numbers(c.n, 4)),
        residual(numbers(c.m * c.n, 5)) {}
  std::vector<float> a, b, bias, row, residual;
};

int64_t copies_of(const Case& c) {
  return std::max<int64_t>(1, (c.m == 1 ? kFar : kNear) / (c.k * c.n * 4));
}

class Own {
 public:
  Own(const Case& c, const Numbers& numbers, int threads)
      : y(static_cast<size_t>(c.m * c.n)), pool_(threads) {
    GemmProblem problem;
    problem.m = c.m;
    problem.n = c.n;
    problem.k = c.k;
    problem.a = {DType::f32, c.k, 1, {}};
    problem.b_packed = true;
    const MatrixLayout whole{DType::f32, c.n, 1, {}};
    problem.outputs = {{c.n, whole, {}}};
    auto& post_ops = problem.outputs[0].post_ops;
    for (const char* p = c.post; *p != '\0'; ++p) {
      const auto operand = static_cast<int>(operands_.size());
      if (*p == 'b') post_ops.push_back(PostOp::bias(operand));
      if (*p == 'm') post_ops.push_back(PostOp::multiply(operand, {DType::f32, 0, 1, {}}));
      if (*p == 'r') post_ops.push_back(PostOp::add(operand, whole));
      if (*p == 'g') post_ops.push_back(PostOp::apply(Unary::gelu_tanh));
      if (*p == 's') post_ops.push_back(PostOp::apply(Unary::silu));
      if (*p == 'b') operands_.push_back(numbers.bias.data());
      if (*p == 'm') operands_.push_back(numbers.row.data());
      if (*p == 'r') operands_.push_back(numbers.residual.data());
    }
    const PackedLayout layout = PackedLayout::of(current_isa(), DType::f32);
    for (int64_t i = 0; i < copies_of(c); ++i) {
      b_.emplace_back(layout.bytes(c.k, c.n) + 64);
      pack_matrix(layout, c.k, c.n, numbers.b.data(), {DType::f32, c.n, 1, {}}, aligned(b_.back()));
    }
    gemm_ = std::make_unique<Gemm>(problem, threads);
    workspace_.resize(gemm_->workspace_bytes() + 64);
    a_ = numbers.a.data();
  }

  void run() {
    void* out = y.data();
    turn_ = (turn_ + 1) % b_.size();
    gemm_->run({a_, aligned(b_[turn_]), &out, operands_.data()}, aligned(workspace_), pool_);
  }

  std::vector<float> y;

 private:
  static char* aligned(std::vector<char>& bytes) {
    return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64);
  }

  Pool pool_;
  std::unique_ptr<Gemm> gemm_;
  std::vector<std::vector<char>> b_;
  std::vector<const void*> operands_;
  std::vector<char> workspace_;
  const float* a_ = nullptr;
  size_t turn_ = 0;
};

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

void set_openmp_threads(int threads) {
  auto* set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr) set(threads);
}

// Versions 2 and 3 differ in these two.
template <class PostOps>
void append_eltwise(PostOps& list, dnnl::algorithm f, float alpha) {
  if constexpr (requires { list.append_eltwise(1.0f, f, alpha, 0.0f); })
    list.append_eltwise(1.0f, f, alpha, 0.0f);
  else
    list.append_eltwise(f, alpha, 0.0f);
}
template <class Matmul = dnnl::matmul>
auto describe(const memory::desc& a, const memory::desc& b, const memory::desc* bias,
              const memory::desc& c, const dnnl::primitive_attr& attr) {
  using Description = typename Matmul::primitive_desc;
  if constexpr (requires { typename Matmul::desc; }) {
    using Problem = typename Matmul::desc;
    return Description(bias ? Problem(a, b, *bias, c) : Problem(a, b, c), attr, engine());
  } else {
    return bias ? Description(engine(), a, b, *bias, c, attr)
                : Description(engine(), a, b, c, attr);
  }
}

class OneDnn {
 public:
  OneDnn(const Case& c, const Numbers& numbers, int threads)
      : y(static_cast<size_t>(c.m * c.n)), stream_(engine()) {
    set_openmp_threads(threads);
    const memory::desc a = matrix(c.m, c.k), plain_b = matrix(c.k, c.n), row = matrix(1, c.n),
                       whole = matrix(c.m, c.n);
    const memory::desc any_b({c.k, c.n}, memory::data_type::f32, memory::format_tag::any);
    dnnl::post_ops list;
    const bool bias = *c.post == 'b';
    for (const char* p = c.post + (bias ? 1 : 0); *p != '\0'; ++p) {
      const int argument = DNNL_ARG_ATTR_MULTIPLE_POST_OP(list.len()) | DNNL_ARG_SRC_1;
      if (*p == 'g') append_eltwise(list, dnnl::algorithm::eltwise_gelu_tanh, 0);
      if (*p == 's') append_eltwise(list, dnnl::algorithm::eltwise_swish, 1);
      if (*p == 'm') list.append_binary(dnnl::algorithm::binary_mul, row);
      if (*p == 'r') list.append_binary(dnnl::algorithm::binary_add, whole);
      if (*p == 'm') arguments_[argument] = view(row, numbers.row);
      if (*p == 'r') arguments_[argument] = view(whole, numbers.residual);
    }
    dnnl::primitive_attr attr;
    attr.set_post_ops(list);
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto description = describe(a, any_b, bias ? &row : nullptr, whole, attr);
    primitive_ = dnnl::matmul(description);
    arguments_[DNNL_ARG_SRC] = view(a, numbers.a);
    arguments_[DNNL_ARG_DST] = view(whole, y);
    arguments_[DNNL_ARG_SCRATCHPAD] = memory(description.scratchpad_desc(), engine());
    if (bias) arguments_[DNNL_ARG_BIAS] = view(row, numbers.bias);
    memory from = view(plain_b, numbers.b);
    for (int64_t i = 0; i < copies_of(c); ++i) {
      b_.emplace_back(description.weights_desc(), engine());
      dnnl::reorder(from, b_.back()).execute(stream_, from, b_.back());
    }
  }

  void run() {
    turn_ = (turn_ + 1) % b_.size();
    arguments_[DNNL_ARG_WEIGHTS] = b_[turn_];
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

  std::vector<float> y;

 private:
  static memory::desc matrix(int64_t rows, int64_t columns) {
    return {{rows, columns}, memory::data_type::f32, {columns, 1}};
  }
  static memory view(const memory::desc& desc, const std::vector<float>& values) {
    return {desc, engine(), const_cast<float*>(values.data())};
  }

  dnnl::stream stream_;
  dnnl::matmul primitive_;
  std::vector<memory> b_;
  std::unordered_map<int, memory> arguments_;
  size_t turn_ = 0;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Least seconds of one call in a block of them. The first third of it, while the threads of the
// one before may still look out for work, does not count.
double block(const std::function<void()>& run, int64_t calls, int threads) {
  std::vector<double> times;
  const double end = now(threads) + kBlockSeconds;
  for (double start = now(threads); start < end || times.size() < 3;) {
    for (int64_t i = 0; i < calls; ++i) run();
    const double stop = now(threads);
    times.push_back((stop - start) / static_cast<double>(calls));
    start = stop;
  }
  return *std::min_element(times.begin() + static_cast<std::ptrdiff_t>(times.size() / 3),
                           times.end());
}

void compare(const Case& c, int threads) {
  const Numbers numbers(c);
  Own own(c, numbers, threads);
  OneDnn onednn(c, numbers, threads);
  const double flops = 2e-9 * static_cast<double>(c.m * c.n * c.k);
  const double bytes = 4e-9 * static_cast<double>(c.n * c.k);
  const auto calls = std::max<int64_t>(1, static_cast<int64_t>(kSampleSeconds * 100 / flops));
  std::vector<double> own_times, dnnl_times, ratios;
  for (int round = 0; round < kRounds; ++round) {
    own_times.push_back(block([&] { own.run(); }, calls, threads));
    dnnl_times.push_back(block([&] { onednn.run(); }, calls, threads));
    ratios.push_back(dnnl_times.back() / own_times.back());
  }
  for (size_t i = 0; i < own.y.size(); ++i)
    if (std::fabs(own.y[i] - onednn.y[i]) > 1e-3f * (1 + std::fabs(own.y[i])))
      return void(std::printf("%s: results differ\n", c.name));
  const auto best = [](const std::vector<double>& t) {
    return *std::min_element(t.begin(), t.end());
  };
  std::printf("%-18s %5ld %6ld %5ld %-4s %d %8.1f %8.1f %6.2f", c.name, static_cast<long>(c.m),
              static_cast<long>(c.n), static_cast<long>(c.k), c.post, threads,
              flops / best(own_times), flops / best(dnnl_times), median(ratios));
  if (c.m <= 4) std::printf(" %7.1f %7.1f GB/s", bytes / best(own_times), bytes / best(dnnl_times));
  std::printf("\n");
  std::fflush(stdout);
}

// GB/s at which memory is read: two places at once, as a product of one row reads its weights.
double read_bandwidth(int threads) {
  using Vector [[gnu::vector_size(16)]] = uint64_t;
  constexpr size_t kLine = 64 / sizeof(Vector), kHalf = (size_t{128} << 10) / sizeof(Vector);
  constexpr int64_t kPieces = 1024;
  std::vector<Vector> memory(2 * kHalf * kPieces, Vector{1});
  Pool pool(threads);
  std::vector<uint64_t> sums(kPieces);
  double best = 0;
  for (int round = 0; round < 12; ++round) {
    const double start = now(threads);
    pool.parallel(kPieces, [&](int64_t piece, int) {
      const Vector* from = memory.data() + static_cast<size_t>(piece) * 2 * kHalf;
      const Vector* other = from + kHalf;
      Vector a{}, b{}, c{}, d{};
      for (size_t i = 0; i < kHalf; i += kLine) {
        __builtin_prefetch(from + i + 16 * kLine);
        __builtin_prefetch(other + i + 16 * kLine);
        a ^= from[i] ^ other[i];
        b ^= from[i + 1] ^ other[i + 1];
        c ^= from[i + 2] ^ other[i + 2];
        d ^= from[i + 3] ^ other[i + 3];
      }
      sums[static_cast<size_t>(piece)] += (a ^ b ^ c ^ d)[0];
    });
    const double seconds = now(threads) - start;
    best = std::max(best, static_cast<double>(memory.size() * sizeof(Vector)) * 1e-9 / seconds);
  }
  if (sums[0] == 1) std::printf("!");  // keeps the loop
  return best;
}

}  // namespace

int main(int count, char** words) {
  std::printf("memory is read at %.1f GB/s by one thread, %.1f by two\n", read_bandwidth(1),
              read_bandwidth(2));
  std::printf("%-18s %5s %6s %5s %-4s t %8s %8s %6s\n", "case", "m", "n", "k", "post", "own",
              "oneDNN", "ratio");
  // A number is the only number of threads, other words pick cases.
  const std::vector<std::string> given(words + 1, words + count);
  const auto has = [&](const char* word) {
    return std::find(given.begin(), given.end(), word) != given.end();
  };
  for (int threads : {1, 2}) {
    if (has(threads == 1 ? "2" : "1")) continue;
    for (const Case& c : kCases) {
      bool wanted = true, named = false;
      for (const std::string& word : given) {
        if (word == "1" || word == "2") continue;
        wanted = false;
        named = named || std::string_view(c.name).find(word) != std::string_view::npos;
      }
      if (wanted || named) compare(c, threads);
    }
  }
  return 0;
}
