// SPDX-License-Identifier: Apache-2.0
#include "import/aliases.h"

#include "ops/scatter.h"
#include "ops/views.h"

namespace tutti::pt2 {

Ref Aliases::add(Entry entry) {
  entries_.push_back(std::move(entry));
  return {static_cast<int32_t>(entries_.size()) - 1};
}

Ref Aliases::fresh(Array value) { return add({value.id, 0, -1, {}, value.is_complex, false}); }

Ref Aliases::view(Ref base, const Op& op, bool is_complex) {
  const ValueId value = derive(op, read(base).id);
  return add({value, entry(storage(base)).version, base.index, op, is_complex, false});
}

Ref Aliases::view_or_copy(Ref base, const Op& op, bool is_complex) {
  unsettled_.push_back(view(base, op, is_complex));
  return unsettled_.back();
}

Ref Aliases::storage(Ref tensor) const {
  while (entry(tensor).base >= 0) tensor.index = entry(tensor).base;
  return tensor;
}

Array Aliases::read(Ref tensor) {
  Entry& at = entry(tensor);
  if (at.base >= 0) {
    const int64_t version = entry(storage(tensor)).version;
    if (at.version != version) at.value = derive(at.op, read({at.base}).id);
    at.version = version;
  }
  return {at.value, at.is_complex};
}

void Aliases::write(Ref tensor, ValueId value) {
  require(emitter_.type(value) == type(tensor), Errc::internal, "a write of ", emitter_.type(value),
          " into ", type(tensor));
  // Nobody has read what this replaces when tensors that turn out to be copies are settled first.
  Ref changing;
  do {
    changing = storage(tensor);
    settle(changing);
  } while (storage(tensor).index != changing.index);
  entry(changing).written = true;
  replace(tensor, value);
}

// Tells copies from views among the tensors that may be either: a copy keeps its value.
void Aliases::settle(Ref changing) {
  std::vector<Ref> rest;
  for (const Ref tensor : unsettled_) {
    if (storage(tensor).index != changing.index) {
      rest.push_back(tensor);
    } else if (!shares_({entry(tensor).base}, tensor)) {
      read(tensor);
      entry(tensor).base = -1;
    }
  }
  unsettled_ = std::move(rest);
}

int64_t Aliases::replace(Ref tensor, ValueId value) {
  const Entry& at = entry(tensor);
  int64_t version;
  if (at.base >= 0) {
    const Ref base{at.base};
    version = replace(base, put_back(at.op, read(base).id, value));
  } else {
    version = at.version + 1;
  }
  entry(tensor).value = value;
  entry(tensor).version = version;
  return version;
}

ValueId Aliases::derive(const Op& op, ValueId base) { return op ? emitter_.op(op, {base}) : base; }

// The inverse of derive: `base` with the elements that the view shows replaced.
ValueId Aliases::put_back(const Op& op, ValueId base, ValueId value) {
  if (!op) return value;
  if (op.as<Reshape>() != nullptr) return emitter_.reshape(value, emitter_.shape(base));
  if (const auto* permute = op.as<Permute>()) {
    std::vector<int64_t> inverse(permute->axes.size());
    for (size_t i = 0; i < inverse.size(); ++i)
      inverse[static_cast<size_t>(permute->axes[i])] = static_cast<int64_t>(i);
    return emitter_.permute(value, inverse);
  }
  if (const auto* slice = op.as<Slice>())
    return emitter_.op(SliceUpdate{slice->axis, slice->start, slice->step}, {base, value});
  fail(Errc::unsupported, "a write in place through ", op.name(),
       ", whose elements share memory, is not supported");
}

}  // namespace tutti::pt2
