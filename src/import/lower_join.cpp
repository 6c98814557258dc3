// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "import/arithmetic.h"
#include "ops/concat.h"
#include "ops/gather.h"
#include "ops/reduce.h"

namespace tutti::pt2 {
namespace {

using Fn = Elementwise;

// The tensors of a list in their common type.
std::vector<Array> in_common_type(Lowering& l, const std::vector<Ref>& tensors) {
  std::vector<Operand> operands;
  for (const Ref x : tensors) operands.emplace_back(l.read(x));
  require_argument(!operands.empty(), "an empty list of tensors");
  const ElementType type = common_type(l, operands);
  std::vector<Array> arrays;
  for (const Operand& x : operands) arrays.push_back(convert(l, x, type));
  return arrays;
}

Array join(Lowering& l, const std::vector<Array>& parts, int64_t axis) {
  std::vector<ValueId> ids;
  for (const Array& part : parts) ids.push_back(part.id);
  return {l.e.concat(ids, axis), parts[0].is_complex};
}

// Tensors of shape [0] take no part, whatever the others' rank.
std::vector<Array> without_empty(const Lowering& l, std::vector<Array> parts) {
  const Shape empty{Dim(0)};
  std::vector<Array> kept;
  for (const Array& part : parts)
    if (!(l.shape(part) == empty)) kept.push_back(part);
  return kept.empty() ? std::vector<Array>{parts[0]} : kept;
}

Results concat(Lowering& l, const Args& a) {
  const std::vector<Array> parts = without_empty(l, in_common_type(l, a.refs("tensors")));
  return join(l, parts, a.axis("dim", l.rank(parts[0])));
}

Array with_axis(Lowering& l, Array x, int64_t axis) {
  return {l.e.unsqueeze(x.id, axis), x.is_complex};
}

Results stack(Lowering& l, const Args& a) {
  std::vector<Array> parts = in_common_type(l, a.refs("tensors"));
  const int64_t axis = a.axis("dim", l.rank(parts[0]) + 1);
  for (Array& part : parts) part = with_axis(l, part, axis);
  return join(l, parts, axis);
}

// hstack and its kin: axes are added until each part has `rank`, then one is joined.
template <int rank, int axis>
Results stack_at_least(Lowering& l, const Args& a) {
  std::vector<Array> parts = in_common_type(l, a.refs("tensors"));
  for (Array& part : parts)
    while (l.rank(part) < rank) part = with_axis(l, part, l.rank(part) == 2 ? 2 : 0);
  return join(l, parts, l.rank(parts[0]) == 1 ? 0 : axis);
}

Results column_stack(Lowering& l, const Args& a) {
  std::vector<Array> parts = in_common_type(l, a.refs("tensors"));
  for (Array& part : parts)
    while (l.rank(part) < 2) part = with_axis(l, part, l.rank(part));
  return join(l, parts, 1);
}

// Each axis i stands counts[i] times one after the other.
ValueId repeat_of(Lowering& l, ValueId x, std::vector<Dim> counts) {
  Shape shape = l.e.shape(x);
  while (counts.size() < shape.size()) counts.insert(counts.begin(), Dim(1));
  while (shape.size() < counts.size()) shape.insert(shape.begin(), Dim(1));
  Shape apart, wide, whole;
  for (size_t i = 0; i < shape.size(); ++i) {
    whole.push_back(shape[i] * counts[i]);
    if (!(counts[i] == Dim(1))) {
      apart.push_back(1);
      wide.push_back(counts[i]);
    }
    apart.push_back(shape[i]);
    wide.push_back(shape[i]);
  }
  return l.e.reshape(l.e.expand(l.e.reshape(x, apart), wide), whole);
}

Results repeat(Lowering& l, const Args& a) {
  return repeat_of(l, a.value("self"), a.dims("repeats"));
}

Results tile(Lowering& l, const Args& a) { return repeat_of(l, a.value("self"), a.dims("dims")); }

Results repeat_interleave(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  if (!a.has("dim")) x = l.e.reshape(x, {elements(l.e.shape(x))});
  const int64_t axis = a.has("dim") ? a.axis("dim", l.e.rank(x)) : 0;
  const Dim count = a.dim("repeats");
  Shape whole = l.e.shape(x);
  whole[static_cast<size_t>(axis)] = whole[static_cast<size_t>(axis)] * count;
  const ValueId apart = l.e.unsqueeze(x, axis + 1);
  Shape wide = l.e.shape(apart);
  wide[static_cast<size_t>(axis) + 1] = count;
  return l.e.reshape(l.e.expand(apart, wide), whole);
}

// 0, 1, ... each as many times as a tensor says; how many there are in all must be known.
ValueId repeated_places(Lowering& l, const Args& a, ValueId counts) {
  require(a.has("output_size"), Errc::unsupported,
          "repeat_interleave without output_size gives a shape that depends on values");
  const ValueId ends = l.e.op(Scan{"sum", 0}, {l.e.cast(counts, DType::i64)});
  const ValueId places = l.e.unsqueeze(l.e.iota(a.dim("output_size")), 1);
  const ValueId passed = l.e.cast(l.e.binary(Fn::less_equal, ends, places), DType::i64);
  return l.e.reduce("sum", passed, {1}, false);
}

Results repeat_indices(Lowering& l, const Args& a) {
  const ValueId counts = a.value("repeats");
  return l.e.cast(repeated_places(l, a, counts), l.e.dtype(counts));
}

Results repeat_each(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  if (!a.has("dim")) x = l.e.reshape(x, {elements(l.e.shape(x))});
  const int64_t axis = a.has("dim") ? a.axis("dim", l.e.rank(x)) : 0;
  const ValueId counts = l.e.expand(a.value("repeats"), {l.e.extent(x, axis)});
  return l.e.op(Take{axis}, {x, repeated_places(l, a, counts)});
}

ValueId flip_axis(Lowering& l, ValueId x, int64_t axis) {
  const Dim n = l.e.extent(x, axis);
  return n == Dim(0) ? x : l.e.slice(x, axis, n - 1, n, -1);
}

Results flip(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  for (int64_t axis : a.integers("dims")) x = flip_axis(l, x, normal_axis(axis, l.e.rank(x)));
  return x;
}

template <int axis>
Results flip_one(Lowering& l, const Args& a) {
  return flip_axis(l, a.value("self"), axis);
}

ValueId roll_axis(Lowering& l, ValueId x, int64_t axis, const Dim& shift) {
  const Dim n = l.e.extent(x, axis);
  if (n == Dim(0)) return x;
  const Dim front = mod(shift, n);
  if (front == Dim(0)) return x;
  return l.e.concat({l.e.slice(x, axis, n - front, front), l.e.slice(x, axis, 0, n - front)}, axis);
}

Results roll(Lowering& l, const Args& a) {
  ValueId x = a.value("self");
  const std::vector<Dim> shifts = a.dims("shifts");
  const std::vector<int64_t> axes = a.integers("dims");
  if (axes.empty()) {
    const ValueId flat = l.e.reshape(x, {elements(l.e.shape(x))});
    return l.e.reshape(roll_axis(l, flat, 0, shifts.at(0)), l.e.shape(x));
  }
  require_argument(axes.size() == shifts.size(), "roll of ", axes.size(), " axes by ",
                   shifts.size(), " shifts");
  for (size_t i = 0; i < axes.size(); ++i)
    x = roll_axis(l, x, normal_axis(axes[i], l.e.rank(x)), shifts[i]);
  return x;
}

// Quarter turns from the first axis towards the second.
Results rotate(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const std::vector<int64_t> axes = a.integers("dims");
  require_argument(axes.size() == 2, "rot90 of ", axes.size(), " axes");
  const int64_t from = normal_axis(axes[0], l.e.rank(x)), to = normal_axis(axes[1], l.e.rank(x));
  switch ((a.integer("k") % 4 + 4) % 4) {
    case 1:
      return l.e.transpose(flip_axis(l, x, to), from, to);
    case 2:
      return flip_axis(l, flip_axis(l, x, from), to);
    case 3:
      return flip_axis(l, l.e.transpose(x, from, to), to);
    default:
      return x;
  }
}

// Every element of one times the whole other.
Results kronecker(Lowering& l, const Args& a) {
  ValueId x = a.value("self"), y = a.value("other");
  while (l.e.rank(x) < l.e.rank(y)) x = l.e.unsqueeze(x, 0);
  while (l.e.rank(y) < l.e.rank(x)) y = l.e.unsqueeze(y, 0);
  Shape xs, ys, to;
  for (int64_t i = 0; i < l.e.rank(x); ++i) {
    xs.insert(xs.end(), {l.e.extent(x, i), Dim(1)});
    ys.insert(ys.end(), {Dim(1), l.e.extent(y, i)});
    to.push_back(l.e.extent(x, i) * l.e.extent(y, i));
  }
  return l.e.reshape(binary(l, Fn::mul, l.e.reshape(x, xs), l.e.reshape(y, ys)).id, to);
}

Results cartesian_product(Lowering& l, const Args& a) {
  const std::vector<ValueId> tensors = a.values("tensors");
  if (tensors.size() == 1) return tensors[0];
  Shape grid;
  for (ValueId x : tensors) grid.push_back(l.e.extent(x, 0));
  std::vector<ValueId> columns;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Shape row(tensors.size(), 1);
    row[i] = grid[i];
    const ValueId wide = l.e.expand(l.e.reshape(tensors[i], row), grid);
    columns.push_back(l.e.reshape(wide, {elements(grid)}));
  }
  return l.e.stack(columns, 1);
}

// Numbers come in pairs, the last axis first.
ValueId pad_of(Lowering& l, ValueId x, const std::vector<int64_t>& borders, const std::string& mode,
               double value) {
  const auto rank = static_cast<size_t>(l.e.rank(x));
  require_argument(borders.size() % 2 == 0 && borders.size() / 2 <= rank, "pad has ",
                   borders.size(), " numbers for ", rank, " axes");
  Pad pad{std::vector<int64_t>(rank), std::vector<int64_t>(rank), mode, value};
  for (size_t i = 0; i < borders.size() / 2; ++i) {
    pad.before[rank - 1 - i] = borders[2 * i];
    pad.after[rank - 1 - i] = borders[2 * i + 1];
  }
  if (std::all_of(borders.begin(), borders.end(), [](int64_t n) { return n == 0; })) return x;
  return l.e.op(pad, {x});
}

Results pad(Lowering& l, const Args& a) {
  return pad_of(l, a.value("self"), a.integers("pad"), a.text("mode"),
                a.has("value") ? a.real("value") : 0);
}

Results pad_constant(Lowering& l, const Args& a) {
  return pad_of(l, a.value("self"), a.integers("pad"), "constant", a.real("value"));
}

template <char mode>
Results pad_edge(Lowering& l, const Args& a) {
  const std::string name = mode == 'r' ? "reflect" : mode == 'e' ? "replicate" : "circular";
  return pad_of(l, a.value("self"), a.integers(mode == 'c' ? "pad" : "padding"), name, 0);
}

// [b, c r r, h, w] -> [b, c, h r, w r]
Results pixel_shuffle(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t r = a.integer("upscale_factor"), rank = l.e.rank(x);
  require_argument(rank >= 3, "pixel_shuffle of ", rank, " axes");
  const Shape shape = l.e.shape(x);
  const size_t c = static_cast<size_t>(rank) - 3;
  const Dim channels = floor_div(shape[c], r * r),
            batch = elements(Shape(shape.begin(), shape.begin() + static_cast<int64_t>(c)));
  const Dim h = shape[c + 1], w = shape[c + 2];
  const ValueId parts = l.e.reshape(x, {batch, channels, r, r, h, w});
  const ValueId moved = l.e.permute(parts, {0, 1, 4, 2, 5, 3});
  Shape to(shape.begin(), shape.begin() + static_cast<int64_t>(c));
  to.insert(to.end(), {channels, h * r, w * r});
  return l.e.reshape(moved, to);
}

// The inverse of pixel_shuffle.
Results pixel_unshuffle(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t r = a.integer("downscale_factor"), rank = l.e.rank(x);
  require_argument(rank >= 3, "pixel_unshuffle of ", rank, " axes");
  const Shape shape = l.e.shape(x);
  const size_t c = static_cast<size_t>(rank) - 3;
  const Dim batch = elements(Shape(shape.begin(), shape.begin() + static_cast<int64_t>(c)));
  const Dim h = floor_div(shape[c + 1], r), w = floor_div(shape[c + 2], r);
  const ValueId parts = l.e.reshape(x, {batch, shape[c], h, r, w, r});
  const ValueId moved = l.e.permute(parts, {0, 1, 3, 5, 2, 4});
  Shape to(shape.begin(), shape.begin() + static_cast<int64_t>(c));
  to.insert(to.end(), {shape[c] * (r * r), h, w});
  return l.e.reshape(moved, to);
}

Results channel_shuffle(Lowering& l, const Args& a) {
  const ValueId x = a.value("self");
  const int64_t groups = a.integer("groups");
  const Shape shape = l.e.shape(x);
  const Dim rest = elements(Shape(shape.begin() + 2, shape.end()));
  const ValueId parts = l.e.reshape(x, {shape[0], groups, floor_div(shape[1], groups), rest});
  return l.e.reshape(l.e.permute(parts, {0, 2, 1, 3}), shape);
}

// Differences of neighbours, n times over.
Results difference(Lowering& l, const Args& a) {
  const int64_t axis = a.axis("dim", l.rank(a.ref("self")));
  std::vector<Ref> parts;
  if (a.has("prepend")) parts.push_back(a.ref("prepend"));
  parts.push_back(a.ref("self"));
  if (a.has("append")) parts.push_back(a.ref("append"));
  ValueId x = join(l, in_common_type(l, parts), axis).id;
  for (int64_t i = 0; i < a.integer("n"); ++i) {
    const Dim n = l.e.extent(x, axis) - 1;
    const ValueId later = l.e.slice(x, axis, 1, n), sooner = l.e.slice(x, axis, 0, n);
    x = l.e.binary(l.e.dtype(x) == DType::boolean ? Fn::logical_xor : Fn::sub, later, sooner);
  }
  return x;
}

constexpr Row kRows[] = {
    {"cat concat concatenate", "tensors, dim=0", concat},
    {"stack", "tensors, dim=0", stack},
    {"hstack", "tensors", stack_at_least<1, 1>},
    {"vstack row_stack", "tensors", stack_at_least<2, 0>},
    {"dstack", "tensors", stack_at_least<3, 2>},
    {"column_stack", "tensors", column_stack},
    {"repeat", "self, repeats", repeat},
    {"tile", "self, dims", tile},
    {"repeat_interleave.self_int", "self, repeats, dim=None, output_size=None", repeat_interleave},
    {"repeat_interleave.Tensor", "repeats, output_size=None", repeat_indices},
    {"repeat_interleave.self_Tensor", "self, repeats, dim=None, output_size=None", repeat_each},
    {"flip", "self, dims", flip},
    {"fliplr", "self", flip_one<1>},
    {"flipud", "self", flip_one<0>},
    {"roll", "self, shifts, dims=[]", roll},
    {"rot90", "self, k=1, dims=[0 1]", rotate},
    {"kron", "self, other", kronecker},
    {"cartesian_prod", "tensors", cartesian_product},
    {"pad", "self, pad, mode='constant', value=None", pad},
    {"constant_pad_nd", "self, pad, value=0", pad_constant},
    {"reflection_pad1d reflection_pad2d reflection_pad3d", "self, padding", pad_edge<'r'>},
    {"replication_pad1d replication_pad2d replication_pad3d", "self, padding", pad_edge<'e'>},
    {"_pad_circular", "self, pad", pad_edge<'c'>},
    {"pixel_shuffle", "self, upscale_factor", pixel_shuffle},
    {"pixel_unshuffle", "self, downscale_factor", pixel_unshuffle},
    {"channel_shuffle native_channel_shuffle", "self, groups", channel_shuffle},
    {"diff", "self, n=1, dim=-1, prepend=None, append=None", difference},
};

}  // namespace

std::span<const Row> join_rows() { return kRows; }

}  // namespace tutti::pt2
