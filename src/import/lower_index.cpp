// SPDX-License-Identifier: Apache-2.0
#include "import/lower_index.h"

#include <algorithm>

#include "import/lower_slices.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/gather.h"

namespace tutti::pt2 {

ValueId at_least_1d(Lowering& l, ValueId x) { return l.e.rank(x) == 0 ? l.e.reshape(x, {1}) : x; }

Indices indices_of(Lowering& l, const Args& a) {
  Indices indices;
  const std::vector<Ref>& list = a.refs("indices");
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].index < 0) continue;
    const ValueId index = l.value(list[i]);
    const bool is_mask = l.e.dtype(index) == DType::boolean || l.e.dtype(index) == DType::u8;
    if (is_mask && i == 0 && list.size() == 1) {
      indices.mask = to_boolean(l, index);
      continue;
    }
    require(!is_mask, Errc::unsupported,
            "indexing by a boolean tensor gives a shape that depends on values");
    indices.axes.push_back(static_cast<int64_t>(i));
    indices.values.push_back(index);
  }
  return indices;
}

namespace {

using Fn = Elementwise;

Results index(Lowering& l, const Args& a) {
  const Indices indices = indices_of(l, a);
  require(indices.mask == kNone, Errc::unsupported,
          "indexing by a boolean tensor gives a shape that depends on values");
  const Array x = a.array("self");
  std::vector<ValueId> inputs = {x.id};
  inputs.insert(inputs.end(), indices.values.begin(), indices.values.end());
  if (indices.axes.empty()) return x;
  return Array{l.e.op(Index{indices.axes}, inputs), x.is_complex};
}

Results embedding(Lowering& l, const Args& a) {
  return l.e.op(Take{0}, {a.value("weight"), a.value("indices")});
}

Results index_select(Lowering& l, const Args& a) {
  const Array x = a.array("self");
  if (l.rank(x) == 0) return x;
  const ValueId index = at_least_1d(l, a.value("index"));
  return Array{l.e.op(Take{a.axis("dim", l.rank(x))}, {x.id, index}), x.is_complex};
}

ValueId gather_of(Lowering& l, ValueId x, ValueId index, int64_t axis) {
  const Shape to = l.e.shape(index);
  return l.e.reshape(l.e.op(Gather{axis}, {at_least_1d(l, x), at_least_1d(l, index)}), to);
}

Results gather(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return gather_of(l, x, a.value("index"), a.axis("dim", l.e.rank(x)));
}

Results take_along(Lowering& l, const Args& a) {
  ValueId x = a.value("self"), index = a.value("indices");
  if (!a.has("dim")) {
    const auto flat = [&](ValueId v) { return l.e.reshape(v, {elements(l.e.shape(v))}); };
    return gather_of(l, flat(x), flat(index), 0);
  }
  const int64_t axis = a.axis("dim", l.e.rank(x));
  Shape xs = l.e.shape(x), is = l.e.shape(index);
  const Dim n = xs[static_cast<size_t>(axis)], k = is[static_cast<size_t>(axis)];
  xs[static_cast<size_t>(axis)] = is[static_cast<size_t>(axis)] = 1;
  Shape both = broadcast(xs, is);
  both[static_cast<size_t>(axis)] = n;
  x = l.e.expand(x, both);
  both[static_cast<size_t>(axis)] = k;
  return gather_of(l, x, l.e.expand(index, both), axis);
}

Results take(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  return l.e.op(Take{0}, {l.e.reshape(x, {elements(l.e.shape(x))}), a.value("index")});
}

template <bool lower>
Results triangle(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t rank = l.e.rank(x);
  const ValueId row = l.e.unsqueeze(l.e.iota(l.e.extent(x, rank - 2)), 1);
  const ValueId column = l.e.iota(l.e.extent(x, rank - 1));
  const ValueId edge =
      convert(l, add(l, Fn::add, row, a.number("diagonal"), Number::of_dim(1)), DType::i64);
  const ValueId kept = l.e.binary(lower ? Fn::less_equal : Fn::greater_equal, column, edge);
  return l.e.choose(kept, x, l.e.scalar(0, l.e.dtype(x)));
}

Results one_hot(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  require(!(a.dim("num_classes") == Dim(-1)), Errc::unsupported,
          "one_hot without num_classes gives a shape that depends on values");
  const ValueId classes = l.e.iota(a.dim("num_classes"));
  return l.e.cast(l.e.binary(Fn::equal, l.e.unsqueeze(x, l.e.rank(x)), classes), DType::i64);
}

template <const char* test_name>
Results is_in(Lowering& l, const Args& a) {
  const ValueId x = a.value("elements");
  const Operand tests = a.operand(test_name);
  ValueId list = tests.number ? convert(l, tests, l.e.dtype(x)) : tests.array.id;
  list = l.e.reshape(list, {elements(l.e.shape(list))});
  const ValueId same = compare(l, Fn::equal, l.e.unsqueeze(x, l.e.rank(x)), list);
  const ValueId found = l.e.reduce("any", same, {l.e.rank(same) - 1}, false);
  return a.flag("invert") ? l.e.unary(Fn::logical_not, found) : found;
}

constexpr char kTests[] = "test_elements";
constexpr char kTest[] = "test_element";

// x along the diagonal `offset` of the last two axes, zeros elsewhere.
ValueId matrix_with_diagonal(Lowering& l, ValueId x, int64_t offset) {
  const int64_t axis = l.e.rank(x) - 1, border = std::abs(offset);
  const ValueId rows = l.e.unsqueeze(l.e.iota(l.e.extent(x, axis) + border), 1);
  const ValueId columns = l.e.iota(l.e.extent(x, axis) + border);
  const ValueId place = l.e.binary(Fn::sub, columns, rows);
  if (border != 0) {
    Pad pad{std::vector<int64_t>(static_cast<size_t>(axis) + 1), {}, "constant", 0};
    pad.after = pad.before;
    (offset < 0 ? pad.before : pad.after).back() = border;
    x = l.e.op(pad, {x});
  }
  const ValueId on_diagonal =
      l.e.binary(Fn::equal, place, l.e.scalar(static_cast<double>(offset), DType::i64));
  return l.e.choose(on_diagonal, l.e.unsqueeze(x, l.e.rank(x)), l.e.scalar(0, l.e.dtype(x)));
}

Results diagonal_matrix(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const ValueId y = matrix_with_diagonal(l, x, a.integer("offset"));
  const int rank = l.e.rank(y);
  require(a.axis("dim1", rank) == rank - 2 && a.axis("dim2", rank) == rank - 1, Errc::unsupported,
          "diag_embed into other than the last two axes is not supported");
  return y;
}

Results diag(Lowering& l, const Args& a) {
  const Ref x = a.ref("self");
  if (l.rank(x) == 1) return matrix_with_diagonal(l, l.value(x), a.integer("diagonal"));
  return l.fresh(l.read(diagonal_of(l, x, a.integer("diagonal"), 0, 1)));
}

// Rows and columns of the elements below, or above, a diagonal.
template <bool lower>
Results triangle_indices(Lowering& l, const Args& a) {
  const int64_t rows = a.integer("row"), columns = a.integer("col"), offset = a.integer("offset");
  std::vector<int64_t> places[2];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < columns; ++k) {
      if (lower ? k > i + offset : k < i + offset) continue;
      places[0].push_back(i);
      places[1].push_back(k);
    }
  }
  const auto count = static_cast<int64_t>(places[0].size());
  const Tensor tensor = Tensor::zeros(DType::i64, {2, count});
  for (int i = 0; i < 2; ++i)
    std::copy(places[i].begin(), places[i].end(), tensor.as<int64_t>() + i * count);
  const auto type = a.type("dtype");
  return l.e.cast(l.e.op(Constant{tensor}, {}), type ? type->dtype : DType::i64);
}

constexpr Row kRows[] = {
    {"index.Tensor _unsafe_index.Tensor", "self, indices", index},
    {"embedding", "weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False",
     embedding},
    {"index_select", "self, dim, index", index_select},
    {"gather", "self, dim, index, sparse_grad=False", gather},
    {"take_along_dim", "self, indices, dim=None", take_along},
    {"take", "self, index", take},
    {"tril", "self, diagonal=0", triangle<true>},
    {"triu", "self, diagonal=0", triangle<false>},
    {"one_hot", "self, num_classes=-1", one_hot},
    {"isin.Tensor_Tensor", "elements, test_elements, assume_unique=False, invert=False",
     is_in<kTests>},
    {"isin.Tensor_Scalar", "elements, test_element, assume_unique=False, invert=False",
     is_in<kTest>},
    {"diag", "self, diagonal=0", diag},
    {"tril_indices", "row, col, offset=0, dtype=None", triangle_indices<true>},
    {"triu_indices", "row, col, offset=0, dtype=None", triangle_indices<false>},
    {"diag_embed", "self, offset=0, dim1=-2, dim2=-1", diagonal_matrix},
};

}  // namespace

std::span<const Row> index_rows() { return kRows; }

}  // namespace tutti::pt2
