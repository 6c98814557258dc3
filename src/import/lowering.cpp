// SPDX-License-Identifier: Apache-2.0
#include "import/lowering.h"

#include <algorithm>
#include <numeric>

#include "ops/views.h"

namespace tutti::pt2 {
namespace {

// True when a tensor of these sizes and strides can take another shape without moving elements:
// each run of axes that lie one after the other in memory is cut anew.
bool can_view(std::span<const SymInt> sizes, std::span<const SymInt> strides,
              std::span<const SymInt> to) {
  const auto number = [](const SymInt& n) { return n.value.value_or(2); };
  for (const SymInt& size : sizes)
    if (number(size) == 0) return true;
  if (sizes.empty()) return true;
  size_t next = to.size();
  int64_t run = 1, stride = number(strides.back());  // elements and stride of the run at hand
  for (size_t i = sizes.size(); i-- > 0;) {
    run *= number(sizes[i]);
    if (i > 0 && (number(sizes[i - 1]) == 1 || number(strides[i - 1]) == run * stride)) continue;
    int64_t covered = 1;
    while (next > 0 && (covered < run || number(to[next - 1]) == 1)) covered *= number(to[--next]);
    if (covered != run) return false;
    if (i > 0) stride = number(strides[i - 1]);
    run = 1;
  }
  return next == 0;
}

bool is_contiguous(std::span<const SymInt> sizes, std::span<const SymInt> strides) {
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    const int64_t size = sizes[i].value.value_or(2);
    if (size != 1 && strides[i].value.value_or(stride) != stride) return false;
    stride *= size;
  }
  return true;
}

}  // namespace

Lowering::Lowering(Function& function,
                   const std::map<std::string, tutti::Symbol, std::less<>>& symbols)
    : e(function),
      aliases_(e, [this](Ref base, Ref view) { return shares(base, view); }),
      symbols_(symbols) {}

bool Lowering::shares(Ref base, Ref view) const {
  const auto from = metas_.find(base.index), to = metas_.find(view.index);
  if (from == metas_.end() || to == metas_.end()) return true;
  const TensorMeta& meta = *from->second;
  if (aliases_.view_op(view)) return can_view(meta.sizes, meta.strides, to->second->sizes);
  return is_contiguous(meta.sizes, meta.strides);
}

bool Lowering::is_row_major(Ref x) const {
  const auto meta = metas_.find(x.index);
  return meta == metas_.end() || is_contiguous(meta->second->sizes, meta->second->strides);
}

Shape Lowering::shape(Array x) const {
  Shape shape = e.shape(x.id);
  if (x.is_complex) shape.pop_back();
  return shape;
}

Shape Lowering::shape(Ref x) const {
  Shape shape = aliases_.type(x).shape;
  if (aliases_.is_complex(x)) shape.pop_back();
  return shape;
}

ElementType Lowering::type(Ref x) const { return {aliases_.type(x).dtype, aliases_.is_complex(x)}; }

ValueId Lowering::value(Ref x) {
  const Array array = read(x);
  require(!array.is_complex, Errc::unsupported, "complex numbers are not supported here");
  return array.id;
}

void Lowering::write_over(Ref x, Array value) {
  const ElementType wanted = type(x);
  require(value.is_complex == wanted.is_complex, Errc::unsupported,
          "a write in place of complex over real numbers is not supported");
  const ValueId id = e.expand(e.cast(value.id, wanted.dtype), aliases_.type(x).shape);
  if (id != read(x).id) write(x, id);
}

Shape Lowering::with_pair(Ref x, Shape shape) const {
  if (aliases_.is_complex(x)) shape.push_back(2);
  return shape;
}

std::vector<int64_t> Lowering::with_pair(Ref x, std::vector<int64_t> axes) const {
  if (aliases_.is_complex(x)) axes.push_back(static_cast<int64_t>(axes.size()));
  return axes;
}

Ref Lowering::reshape(Ref x, const Shape& to) {
  return shape(x) == to ? x : view(x, Reshape{with_pair(x, to)});
}

Ref Lowering::reshape_or_copy(Ref x, const Shape& to) {
  if (shape(x) == to) return x;
  return aliases_.view_or_copy(x, Reshape{with_pair(x, to)}, aliases_.is_complex(x));
}

Ref Lowering::contiguous(Ref x) { return aliases_.view_or_copy(x, {}, aliases_.is_complex(x)); }

Ref Lowering::unsqueeze(Ref x, int64_t axis) {
  Shape to = shape(x);
  to.insert(to.begin() + axis, Dim(1));
  return reshape(x, to);
}

Ref Lowering::squeeze(Ref x, int64_t axis) {
  Shape to = shape(x);
  to.erase(to.begin() + axis);
  return reshape(x, to);
}

Ref Lowering::permute(Ref x, const std::vector<int64_t>& axes) {
  if (std::is_sorted(axes.begin(), axes.end())) return x;
  return view(x, Permute{with_pair(x, axes)});
}

Ref Lowering::transpose(Ref x, int64_t a, int64_t b) {
  std::vector<int64_t> axes(static_cast<size_t>(rank(x)));
  std::iota(axes.begin(), axes.end(), 0);
  if (a != b) std::swap(axes[static_cast<size_t>(a)], axes[static_cast<size_t>(b)]);
  return permute(x, axes);
}

Ref Lowering::expand(Ref x, const Shape& to) {
  return shape(x) == to ? x : view(x, Expand{with_pair(x, to)});
}

Ref Lowering::slice(Ref x, int64_t axis, const Dim& start, const Dim& size, int64_t step) {
  if (step == 1 && start == Dim(0) && size == shape(x)[static_cast<size_t>(axis)]) return x;
  return view(x, Slice{axis, start, size, step});
}

Ref Lowering::select(Ref x, int64_t axis, const Dim& index) {
  return squeeze(slice(x, axis, index, 1), axis);
}

Ref Lowering::as_complex(Ref x) {
  const Shape pairs = shape(x);
  require_argument(!pairs.empty() && pairs.back() == Dim(2), "view_as_complex: x is ", pairs,
                   "; a last extent of 2 is wanted");
  return aliases_.view(x, {}, true);
}

Ref Lowering::as_real(Ref x) { return aliases_.view(x, {}, false); }

bool Lowering::at_most(const Dim& a, const Dim& b) const {
  const Dim difference = b - a;
  if (difference.is_constant()) return difference.value() >= 0;
  // Extents grow with their symbols, so that the ends of the ranges decide.
  constexpr size_t kMostSymbols = 4;
  constexpr int64_t kLarge = int64_t{1} << 20;
  std::set<std::string> names;
  difference.collect_symbols(names);
  if (names.size() > kMostSymbols) return false;
  for (size_t corner = 0; corner < size_t{1} << names.size(); ++corner) {
    SymbolValues values;
    size_t bit = 0;
    for (const std::string& name : names) {
      const auto found = symbols_.find(name);
      const tutti::Symbol range = found == symbols_.end() ? tutti::Symbol{} : found->second;
      values[name] =
          (corner >> bit++ & 1) ? std::min(range.max, std::max(range.min, kLarge)) : range.min;
    }
    try {
      if (difference.evaluate(values) < 0) return false;
    } catch (const Error&) {  // beyond 64 bits, or a division by an extent of 0
      return false;
    }
  }
  return true;
}

void Lowering::check_group_size(const std::string& group, int64_t size) {
  const auto [known, is_new] = group_sizes_.try_emplace(group, size);
  require(known->second == size, Errc::corrupt, "group '", group, "' has ", size, " ranks; the ",
          known->second, " of the calls before are wanted");
}

Dim Lowering::smaller(const Dim& a, const Dim& b) const {
  if (at_most(a, b)) return a;
  if (at_most(b, a)) return b;
  return min(a, b);
}

Results lower_call(Lowering& l, const FoundRule& found, std::vector<Item> items, size_t list_size) {
  std::vector<Ref> targets;
  if (found.in_place) {
    const auto* list = std::get_if<std::vector<Ref>>(&items.at(0));
    targets = list ? *list : std::vector{std::get<Ref>(items[0])};
  }
  Results results = found.rule->row->lower(l, Args(l, *found.rule, std::move(items), list_size));
  if (found.in_place) {
    // t_, unsqueeze_: a view of the elements that are there
    if (targets.size() == 1 && !std::holds_alternative<Array>(results.items.at(0))) return results;
    for (size_t i = 0; i < targets.size(); ++i)
      l.write_over(targets[i], std::get<Array>(results.items.at(i)));
    results.items.assign(targets.begin(), targets.end());
    return results;
  }
  if (!found.copies) return results;
  const auto copy = [&](Ref tensor) { return l.fresh(l.read(tensor)); };
  for (Item& item : results.items) {
    if (auto* tensor = std::get_if<Ref>(&item)) *tensor = copy(*tensor);
    if (auto* list = std::get_if<std::vector<Ref>>(&item))
      for (Ref& tensor : *list) tensor = copy(tensor);
  }
  return results;
}

}  // namespace tutti::pt2
