// SPDX-License-Identifier: Apache-2.0
#include "ops/sort.h"

#include "ops/infer.h"
#include "ops/loops.h"

namespace tutti {
namespace {

// Lines are sorted in this many places of the workspace at once.
constexpr int64_t kPlaces = 16;

template <class Key>
struct Entry {
  Key key;
  int64_t index;
};
constexpr size_t kEntryBytes = sizeof(Entry<int64_t>);

/// A total order: NaN is above all, equal keys stand by index.
template <class Key>
bool ascends(const Entry<Key>& a, const Entry<Key>& b) {
  if (a.key < b.key) return true;
  if (b.key < a.key) return false;
  const bool a_is_nan = a.key != a.key, b_is_nan = b.key != b.key;
  return a_is_nan == b_is_nan ? a.index < b.index : b_is_nan;
}
template <class Key>
bool descends(const Entry<Key>& a, const Entry<Key>& b) {
  if (b.key < a.key) return true;
  if (a.key < b.key) return false;
  const bool a_is_nan = a.key != a.key, b_is_nan = b.key != b.key;
  return a_is_nan == b_is_nan ? a.index < b.index : a_is_nan;
}

template <class T>
void sort_line(const T* x, int64_t step, int64_t n, int64_t k, bool largest,
               Entry<ComputeType<T>>* entries) {
  using Key = ComputeType<T>;
  for (int64_t i = 0; i < n; ++i) entries[i] = {static_cast<Key>(x[i * step]), i};
  const auto sort = [&](const auto& before) {
    if (k < n)
      std::partial_sort(entries, entries + k, entries + n, before);
    else
      std::sort(entries, entries + n, before);
  };
  if (largest)
    sort(descends<Key>);
  else
    sort(ascends<Key>);
}

template <class T>
void top_k(const KernelArgs& args, int axis, bool largest) {
  const Tensor& x = args.in[0];
  const Tensor& values = args.out[0];
  const Tensor& indices = args.out[1];
  const int64_t n = x.shape[axis], k = values.shape[axis], step = x.strides[axis];
  auto* entries = static_cast<Entry<ComputeType<T>>*>(args.workspace);
  Dims lines = x.shape;
  lines[axis] = 1;
  const int64_t count = elements(lines);
  const int64_t places = std::min(count, kPlaces);
  args.pool.parallel(places, [&](int64_t place, int) {
    auto* line_entries = entries + place * n;
    for (int64_t line = place; line < count; line += places) {
      const T* from = x.as<const T>() + offset_at(line, lines, x.strides);
      T* value = values.as<T>() + offset_at(line, lines, values.strides);
      int64_t* index = indices.as<int64_t>() + offset_at(line, lines, indices.strides);
      sort_line(from, step, n, k, largest, line_entries);
      for (int64_t i = 0; i < k; ++i) {
        value[i * values.strides[axis]] = from[line_entries[i].index * step];
        index[i * indices.strides[axis]] = line_entries[i].index;
      }
    }
  });
}

}  // namespace

std::vector<TensorType> TopK::infer(Types in) const {
  require_operands(in, 1, 1);
  require_axis(axis, "x", in[0]);
  TensorType values = in[0];
  Dim& extent = values.shape[static_cast<size_t>(axis)];
  const Dim left = extent - k;
  require_argument(
      (!left.is_constant() || left.value() >= 0) && (!k.is_constant() || k.value() >= 0), "k is ",
      k, " and x is ", in[0], "; 0 to ", extent, " elements of axis ", axis, " are wanted");
  extent = k;
  return {values, {DType::i64, values.shape}};
}

size_t TopK::workspace(Types in) const {
  Shape lines = in[0].shape;
  const int64_t n = lines[static_cast<size_t>(axis)].value();
  lines[static_cast<size_t>(axis)] = 1;
  const int64_t places = std::min(elements(lines).value(), kPlaces);
  return static_cast<size_t>(places * n) * kEntryBytes;
}

void TopK::cpu(const KernelArgs& args) const {
  with_dtype(args.in[0].dtype, [&](auto element) {
    top_k<decltype(element)>(args, static_cast<int>(axis), largest);
  });
}

}  // namespace tutti
