// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "ops/elementwise_table.h"
#include "ops/loops.h"

namespace tutti {
namespace {

constexpr int64_t kBlock = 256;
constexpr size_t kMaxArity = 2;

/// The type in which rows of the table compute elements of stored type T.
template <class T>
using Wide = std::conditional_t<elementwise::kIsInteger<T>, int64_t, ComputeType<T>>;

/// Computes n elements; operands and result are dense arrays of a wide type (result: or of bool).
using Kernel = void (*)(const void* const* in, void* out, int64_t n);

template <size_t kRow, class T>
void run_row(const void* const* in, void* out, int64_t n) {
  constexpr auto& row = std::get<kRow>(elementwise::kTable);
  const T* a = static_cast<const T*>(in[0]);
  if constexpr (row.kArity == 1) {
    using Result = decltype(row.compute(T{}));
    Result* y = static_cast<Result*>(out);
    for (int64_t i = 0; i < n; ++i) y[i] = row.compute(a[i]);
  } else {
    using Result = decltype(row.compute(T{}, T{}));
    const T* b = static_cast<const T*>(in[1]);
    Result* y = static_cast<Result*>(out);
    for (int64_t i = 0; i < n; ++i) y[i] = row.compute(a[i], b[i]);
  }
}

/// The row's kernel for T, or null when the row takes no such type.
template <size_t kRow, class T>
constexpr Kernel kernel_of() {
  using Row = std::tuple_element_t<kRow, decltype(elementwise::kTable)>;
  constexpr unsigned kType = elementwise::kIsBool<T>      ? elementwise::kBoolean
                             : elementwise::kIsInteger<T> ? elementwise::kInteger
                                                          : elementwise::kFloat;
  if constexpr (Row::kArity <= static_cast<int>(kMaxArity) && (Row::kTakes & kType) != 0)
    return &run_row<kRow, T>;
  else
    return nullptr;
}

template <class T, size_t... kRows>
constexpr std::array<Kernel, sizeof...(kRows)> kernels(std::index_sequence<kRows...>) {
  return {kernel_of<kRows, T>()...};
}

template <class T>
constexpr auto kKernels = kernels<T>(std::make_index_sequence<elementwise::kCount>());

/// n elements in a dense array of the wide type: the tensor's own memory where that is one.
template <class T>
const Wide<T>* load(const T* from, int64_t step, int64_t n, Wide<T>* buffer) {
  if constexpr (std::is_same_v<T, Wide<T>>)
    if (step == 1) return from;
  for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<Wide<T>>(from[i * step]);
  return buffer;
}

template <class From, class To>
void store(const From* from, int64_t n, To* to, int64_t step) {
  for (int64_t i = 0; i < n; ++i) to[i * step] = static_cast<To>(from[i]);
}

/// One row of operands stored as T and a result stored as Out, block by block.
template <class T, class Out>
void run_strided(Kernel kernel, const std::array<const T*, kMaxArity>& in, Out* out, int64_t n,
                 const std::array<int64_t, kMaxArity + 1>& steps) {
  alignas(64) Wide<T> operands[kMaxArity][kBlock];
  alignas(64) Wide<Out> results[kBlock];
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    const void* loaded[kMaxArity] = {};
    for (size_t k = 0; k < kMaxArity; ++k)
      if (in[k]) loaded[k] = load(in[k] + begin * steps[k], steps[k], count, operands[k]);
    Out* target = out + begin * steps[kMaxArity];
    if (std::is_same_v<Out, Wide<Out>> && steps[kMaxArity] == 1) {
      kernel(loaded, target, count);
    } else {
      kernel(loaded, results, count);
      store(results, count, target, steps[kMaxArity]);
    }
  }
}

template <class T, class Out>
void run(Kernel kernel, const KernelArgs& args) {
  const Tensor& y = args.out[0];
  Dims shape = y.shape;
  std::array<Dims, kMaxArity + 1> strides;
  std::array<const T*, kMaxArity> in{};
  for (size_t k = 0; k < kMaxArity; ++k) {
    const bool used = k < args.in.size();
    strides[k] = used ? broadcast_strides(args.in[k], shape) : Dims::filled(shape.rank(), 0);
    if (used) in[k] = args.in[k].as<const T>();
  }
  strides[kMaxArity] = y.strides;
  collapse(shape, strides);
  parallel_pieces(args.pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
    for_each_row(part, strides, [&](const auto& at, int64_t n, const auto& steps) {
      std::array<const T*, kMaxArity> operands{};
      for (size_t k = 0; k < kMaxArity; ++k)
        if (in[k]) operands[k] = in[k] + start[k] + at[k];
      run_strided(kernel, operands, y.as<Out>() + start[kMaxArity] + at[kMaxArity], n, steps);
    });
  });
}

/// Moves elements whatever they are, so that no bit changes.
void select(const KernelArgs& args) {
  const Tensor& y = args.out[0];
  Dims shape = y.shape;
  std::array<Dims, 4> strides;
  for (size_t k = 0; k < 3; ++k) strides[k] = broadcast_strides(args.in[k], shape);
  strides[3] = y.strides;
  collapse(shape, strides);
  const bool* condition = args.in[0].as<const bool>();
  with_word(y.dtype, [&](auto word) {
    using Word = decltype(word);
    const Word* a = args.in[1].as<const Word>();
    const Word* b = args.in[2].as<const Word>();
    parallel_pieces(args.pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
      for_each_row(part, strides, [&](auto at, int64_t n, const auto& steps) {
        for (size_t k = 0; k < 4; ++k) at[k] += start[k];
        for (int64_t i = 0; i < n; ++i)
          y.as<Word>()[at[3] + i * steps[3]] =
              condition[at[0] + i * steps[0]] ? a[at[1] + i * steps[1]] : b[at[2] + i * steps[2]];
      });
    });
  });
}

}  // namespace

void ElementwiseOp::cpu(const KernelArgs& args) const {
  if (fn == Elementwise::select) return select(args);
  with_dtype(args.in[0].dtype, [&](auto element) {
    using T = decltype(element);
    const Kernel kernel = kKernels<Wide<T>>[static_cast<size_t>(fn)];
    if (gives_boolean(fn))
      run<T, bool>(kernel, args);
    else
      run<T, T>(kernel, args);
  });
}

void Cast::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  const Tensor& y = args.out[0];
  Dims shape = x.shape;
  std::array<Dims, 2> strides{x.strides, y.strides};
  collapse(shape, strides);
  const auto x_bytes = static_cast<int64_t>(size_of(x.dtype));
  const auto y_bytes = static_cast<int64_t>(size_of(y.dtype));
  parallel_pieces(args.pool, shape, strides, -1, [&](const Dims& part, const auto& start) {
    copy_strided(part, x.as<const std::byte>() + start[0] * x_bytes, x.dtype, strides[0],
                 y.as<std::byte>() + start[1] * y_bytes, y.dtype, strides[1]);
  });
}

}  // namespace tutti
