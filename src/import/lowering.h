// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "import/args.h"
#include "import/pt2_graph.h"

namespace tutti::pt2 {

/// What the rows that lower operators work with.
///
/// Shapes, ranks and axes are those of the program: the trailing pair of complex tensors does not
/// count. Axes are not negative.
class Lowering {
 public:
  /// `symbols` are the ranges of the symbolic extents.
  Lowering(Function& function, const std::map<std::string, tutti::Symbol, std::less<>>& symbols);

  Emitter e;

  Shape shape(Array x) const;
  Shape shape(Ref x) const;
  int rank(Array x) const { return static_cast<int>(shape(x).size()); }
  int rank(Ref x) const { return static_cast<int>(shape(x).size()); }
  ElementType type(Array x) const { return {e.dtype(x.id), x.is_complex}; }
  ElementType type(Ref x) const;

  /// The present value of a tensor.
  Array read(Ref x) { return aliases_.read(x); }
  /// As read; throws unsupported for complex tensors.
  ValueId value(Ref x);
  Ref fresh(Array x) { return aliases_.fresh(x); }
  void write(Ref x, ValueId value) { aliases_.write(x, value); }
  /// Writes the elements over those of x, converted to its type and broadcast to its shape.
  void write_over(Ref x, Array value);
  Aliases& aliases() { return aliases_; }
  const Aliases& aliases() const { return aliases_; }

  // Views share their elements with x; where nothing changes they are x.
  Ref reshape(Ref x, const Shape& to);
  /// As reshape, where PyTorch copies unless the strides allow a view.
  Ref reshape_or_copy(Ref x, const Shape& to);
  /// x, copied unless it is contiguous.
  Ref contiguous(Ref x);
  Ref unsqueeze(Ref x, int64_t axis);
  Ref squeeze(Ref x, int64_t axis);
  Ref permute(Ref x, const std::vector<int64_t>& axes);
  Ref transpose(Ref x, int64_t a, int64_t b);
  Ref expand(Ref x, const Shape& to);
  Ref slice(Ref x, int64_t axis, const Dim& start, const Dim& size, int64_t step = 1);
  Ref select(Ref x, int64_t axis, const Dim& index);
  /// x [..., 2] as complex numbers, and back.
  Ref as_complex(Ref x);
  Ref as_real(Ref x);
  Ref view(Ref x, const Op& op) { return aliases_.view(x, op, aliases_.is_complex(x)); }

  /// min(a, b), decided by the ranges of the symbols where they can tell.
  Dim smaller(const Dim& a, const Dim& b) const;
  /// True when a <= b whatever values the symbols have.
  bool at_most(const Dim& a, const Dim& b) const;

  /// Notes how many ranks a process group has; throws corrupt when the program said another number.
  void check_group_size(const std::string& group, int64_t size);

  /// True unless the elements lay in another order when the program was traced.
  bool is_row_major(Ref x) const;
  /// Sizes and strides that a tensor had when the program was traced.
  void remember(Ref x, const TensorMeta* meta) { metas_.emplace(x.index, meta); }

 private:
  bool shares(Ref base, Ref view) const;
  Shape with_pair(Ref x, Shape shape) const;
  std::vector<int64_t> with_pair(Ref x, std::vector<int64_t> axes) const;

  Aliases aliases_;
  const std::map<std::string, tutti::Symbol, std::less<>>& symbols_;
  std::unordered_map<int32_t, const TensorMeta*> metas_;
  std::map<std::string, int64_t> group_sizes_;
};

/// The rule for a call's target ("torch.ops.aten.add_.Tensor", "_operator.mul"), or null.
///
/// In-place forms and copies of views are found by the name of the plain operator.
struct FoundRule {
  const Rule* rule = nullptr;
  bool in_place = false;  ///< the result goes into the first argument, a tensor or a list of them
  bool copies = false;    ///< the result has a storage of its own
};
FoundRule find_rule(std::string_view target);

/// Lowers a call with its arguments in the order of the rule's parameters; `list_size` is how many
/// tensors the program expects in a result that is a list.
Results lower_call(Lowering& l, const FoundRule& found, std::vector<Item> items,
                   size_t list_size = 0);

/// The targets of all rules, without "torch.ops." and "aten.".
std::vector<std::string> rule_names();

// The table of operators, by family.
std::span<const Row> elementwise_rows();
std::span<const Row> binary_rows();
std::span<const Row> activation_rows();
std::span<const Row> view_rows();
std::span<const Row> reduce_rows();
std::span<const Row> linear_rows();
std::span<const Row> conv_rows();
std::span<const Row> index_rows();
std::span<const Row> create_rows();
std::span<const Row> norm_rows();
std::span<const Row> attention_rows();
std::span<const Row> symbolic_rows();
std::span<const Row> slice_rows();
std::span<const Row> scatter_rows();
std::span<const Row> sort_rows();
std::span<const Row> resample_rows();
std::span<const Row> join_rows();
std::span<const Row> copy_rows();
std::span<const Row> collective_rows();

}  // namespace tutti::pt2
