// SPDX-License-Identifier: Apache-2.0
#include "ops/fused_matmul.h"

#include <numeric>

#include "core/error.h"
#include "core/strided.h"
#include "device/cpu/packed_matrix.h"
#include "ops/elementwise.h"
#include "ops/loops.h"

namespace tutti {
namespace {

cpu::PackedLayout layout_named(std::string_view name) {
  const auto layout = cpu::parse_packed_layout(name);
  require_argument(layout.has_value(), "packed layout ", name, " is not known");
  return *layout;
}

}  // namespace

std::vector<TensorType> FusedMatmul::infer(Types in) const {
  require_argument(in.size() >= 2, "fused_matmul: ", in.size(), " inputs; at least 2 are wanted");
  const TensorType &a = in[0], &b = in[1];
  require_argument(a.rank() >= 2 && is_float(a.dtype), "fused_matmul: a is ", a,
                   "; a matrix of floats is wanted");
  require_argument(!columns.empty() && columns.size() == epilogues.size(),
                   "fused_matmul: ", columns.size(), " outputs with ", epilogues.size(),
                   " epilogues");
  int64_t n = 0;
  for (int64_t c : columns) {
    require_argument(c >= 0 && !__builtin_add_overflow(n, c, &n), "fused_matmul: ", c, " columns");
  }
  const Dim& k = a.shape.back();
  Shape batch(a.shape.begin(), a.shape.end() - 2);
  if (!packed.empty()) {
    const Dim wanted = layout_named(packed).elements(k.value(), n);
    require_argument(b.shape == Shape{wanted} && b.dtype == layout_named(packed).dtype,
                     "fused_matmul: packed b is ", b, "; ", wanted, " elements are wanted");
  } else {
    require_argument(b.rank() >= 2 && b.dtype == a.dtype && b.shape[b.shape.size() - 2] == k &&
                         b.shape.back() == Dim(n),
                     "fused_matmul: b is ", b, ", a is ", a, " and there are ", n, " columns");
    batch = broadcast(batch, Shape(b.shape.begin(), b.shape.end() - 2));
  }
  std::vector<TensorType> out;
  for (size_t i = 0; i < columns.size(); ++i) {
    Shape shape = batch;
    shape.push_back(a.shape[a.shape.size() - 2]);
    shape.push_back(columns[i]);
    check_epilogue(kName, epilogues[i], in, 2, shape);
    out.push_back({a.dtype, shape});
  }
  return out;
}

namespace {

void store(const Tensor& t, int64_t offset, double value) {
  with_dtype(t.dtype, [&](auto kind) {
    using T = decltype(kind);
    static_cast<T*>(t.data)[offset] = convert<T>(value);
  });
}

}  // namespace

void FusedMatmul::cpu(const KernelArgs& args) const {
  const Tensor& a = args.in[0];
  Tensor b = args.in[1];
  const int64_t k = a.shape.back();
  const int64_t n = std::accumulate(columns.begin(), columns.end(), int64_t{0});
  if (!packed.empty()) {
    const cpu::PackedLayout layout = layout_named(packed);
    b = Tensor::zeros(layout.dtype, {k, n});
    cpu::unpack_matrix(layout, k, n, args.in[1].data, b.data, {b.dtype, n, 1, {}});
  }
  int64_t first = 0;
  for (size_t i = 0; i < columns.size(); first += columns[i++]) {
    const Tensor& y = args.out[i];
    const int rank = y.rank();
    Dims a_strides = broadcast_strides(a, y.shape), b_strides = broadcast_strides(b, y.shape);
    a_strides[rank - 1] = 0;
    a_strides[rank - 2] = a.strides[a.rank() - 2];
    b_strides[rank - 2] = 0;
    b_strides[rank - 1] = b.strides[b.rank() - 1];
    const int64_t a_step = a.strides[a.rank() - 1], b_step = b.strides[b.rank() - 2];
    std::vector<int64_t> index(static_cast<size_t>(rank), 0);
    for_each_offset<3>(y.shape, {a_strides, b_strides, y.strides}, [&](const auto& at) {
      double value = 0;
      for (int64_t j = 0; j < k; ++j)
        value += read_element(a, at[0] + j * a_step) *
                 read_element(b, at[1] + first * b_strides[rank - 1] + j * b_step);
      store(y, at[2], apply_epilogue(epilogues[i], args.in, y, index, value));
      for (int axis = rank - 1; axis >= 0; --axis) {
        if (++index[static_cast<size_t>(axis)] < y.shape[axis]) break;
        index[static_cast<size_t>(axis)] = 0;
      }
    });
  }
}

std::vector<TensorType> PackMatrix::infer(Types in) const {
  require_argument(in.size() == 1 && in[0].rank() == 2 && is_float(in[0].dtype),
                   "pack_matrix: one matrix of floats is wanted");
  const cpu::PackedLayout to = layout_named(layout);
  return {{to.dtype, {to.elements(in[0].shape[0].value(), in[0].shape[1].value())}}};
}

void PackMatrix::cpu(const KernelArgs& args) const {
  const Tensor& x = args.in[0];
  cpu::pack_matrix(layout_named(layout), x.shape[0], x.shape[1], x.data,
                   {x.dtype, x.strides[0], x.strides[1], {}}, args.out[0].data);
}

}  // namespace tutti
