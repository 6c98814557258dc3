// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "import/emitter.h"

namespace tutti::pt2 {

/// A value of the graph as a tensor of the foreign program: complex numbers are trailing pairs.
struct Array {
  ValueId id = kNone;
  bool is_complex = false;
};

/// A tensor of the foreign program, which may be a view of another and be written in place.
struct Ref {
  int32_t index = -1;
};

/// Turns a program whose tensors share memory and change into one whose values do not.
///
/// A tensor either has a storage of its own or is a view of another tensor by one operator. Writing
/// to a view replaces the value of its base by the inverse of the operator, and so on down to the
/// storage; views read afterwards are derived anew.
class Aliases {
 public:
  /// `shares(base, view)` decides whether a tensor of view_or_copy is a view; asked at most once
  /// for each, when it matters.
  Aliases(Emitter& emitter, std::function<bool(Ref base, Ref view)> shares)
      : emitter_(emitter), shares_(std::move(shares)) {}

  /// A tensor with a storage of its own.
  Ref fresh(Array value);
  /// A view of `base` by Reshape, Permute, Slice, Expand or Unfold; by no operator, the same
  /// elements with another meaning (`is_complex`).
  Ref view(Ref base, const Op& op, bool is_complex);
  /// As view, where PyTorch may copy.
  Ref view_or_copy(Ref base, const Op& op, bool is_complex);

  /// The present value.
  Array read(Ref tensor);
  /// The operator that shows `base` as this view; none for a storage and for the same elements.
  const Op& view_op(Ref tensor) const { return entry(tensor).op; }
  const TensorType& type(Ref tensor) const { return emitter_.type(entry(tensor).value); }
  bool is_complex(Ref tensor) const { return entry(tensor).is_complex; }
  /// Replaces the elements. Throws unsupported for a view whose elements share memory.
  void write(Ref tensor, ValueId value);

  /// The tensor whose storage this one lies in.
  Ref storage(Ref tensor) const;
  /// True when something was written into the storage.
  bool written(Ref storage) const { return entry(storage).written; }

 private:
  struct Entry {
    ValueId value = kNone;
    int64_t version = 0;  // of the storage, when `value` was right
    int32_t base = -1;
    Op op;
    bool is_complex = false;
    bool written = false;
  };
  Entry& entry(Ref tensor) { return entries_[static_cast<size_t>(tensor.index)]; }
  const Entry& entry(Ref tensor) const { return entries_[static_cast<size_t>(tensor.index)]; }
  Ref add(Entry entry);
  void settle(Ref storage);
  int64_t replace(Ref tensor, ValueId value);
  ValueId derive(const Op& op, ValueId base);
  ValueId put_back(const Op& op, ValueId base, ValueId value);

  Emitter& emitter_;
  std::function<bool(Ref base, Ref view)> shares_;
  std::vector<Entry> entries_;
  std::vector<Ref> unsettled_;  // of view_or_copy, in order of their making
};

}  // namespace tutti::pt2
