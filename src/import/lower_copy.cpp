// SPDX-License-Identifier: Apache-2.0
#include "import/arithmetic.h"
#include "ops/bitcast.h"

namespace tutti::pt2 {
namespace {

// What changes nothing when there is one kind of memory and nothing is trained.
Results same(Lowering&, const Args& a) { return a.ref("self"); }

Results same_input(Lowering& l, const Args& a) {
  (void)l;
  require(!a.flag("train") || a.real("p") == 0, Errc::unsupported,
          "dropout in training (train = True, p = ", a.real("p"), ") is not supported");
  return a.ref("input");
}

Results native_dropout(Lowering& l, const Args& a) {
  Results results = a.ref("input");
  require(!a.has("train") || !a.flag("train") || a.real("p") == 0, Errc::unsupported,
          "dropout in training is not supported");
  const Ref x = a.ref("input");
  results.items.emplace_back(Array{l.e.full(1, DType::boolean, l.shape(x))});
  return results;
}

Results clone(Lowering&, const Args& a) { return a.array("self"); }

Results contiguous(Lowering& l, const Args& a) { return l.contiguous(a.ref("self")); }

Results to_type(Lowering& l, const Args& a, ElementType type, bool copy) {
  const Ref x = a.ref("self");
  if (l.type(x) == type) return copy ? Results(l.read(x)) : Results(x);
  const Array from = l.read(x);
  if (from.is_complex && !type.is_complex) return l.e.cast(real_part(l, from), type.dtype);
  return convert(l, from, type);
}

Results to(Lowering& l, const Args& a) {
  return to_type(l, a, a.type("dtype").value_or(l.type(a.ref("self"))), a.flag("copy"));
}

Results to_other(Lowering& l, const Args& a) {
  return to_type(l, a, l.type(a.ref("other")), a.flag("copy"));
}

Results to_copy(Lowering& l, const Args& a) {
  return to_type(l, a, a.type("dtype").value_or(l.type(a.ref("self"))), true);
}

Results type_as(Lowering& l, const Args& a) { return to_type(l, a, l.type(a.ref("other")), false); }

// The elements of the second operand in the type and shape of the first.
Results over(Lowering& l, const Args& a, const Operand& source) {
  const Ref x = a.ref("self");
  const Array value = convert(l, source, l.type(x));
  Shape shape = l.shape(x);
  if (value.is_complex) shape.push_back(2);
  return Array{l.e.expand(value.id, shape), value.is_complex};
}
Results copy(Lowering& l, const Args& a) { return over(l, a, a.operand("src")); }
Results fill(Lowering& l, const Args& a) { return over(l, a, a.operand("value")); }
Results zero(Lowering& l, const Args& a) { return over(l, a, Number::of_dim(0)); }

// The bytes under another type; writing through it is refused.
Results view_type(Lowering& l, const Args& a) {
  const ElementType type = a.type("dtype").value();
  require(!type.is_complex, Errc::unsupported, "complex numbers are not supported here");
  const Ref x = a.ref("self");
  if (l.type(x) == type) return x;
  return l.view(x, Bitcast{type.dtype});
}

Results nothing(Lowering&, const Args&) { return {}; }

constexpr Row kRows[] = {
    {"alias detach lift lift_fresh positive resolve_neg resolve_conj", "self", same},
    {"dropout feature_dropout alpha_dropout feature_alpha_dropout", "input, p, train", same_input},
    {"native_dropout", "input, p, train=None", native_dropout},
    {"clone lift_fresh_copy", "self", clone},
    {"contiguous", "self", contiguous},
    {"to.dtype", "self, dtype, copy=False", to},
    {"to.device to.dtype_layout", "self, dtype=None, copy=False", to},
    {"to.other", "self, other, copy=False", to_other},
    {"_to_copy", "self, dtype=None", to_copy},
    {"type_as", "self, other", type_as},
    {"view.dtype", "self, dtype", view_type},
    {"copy", "self, src", copy},
    {"fill.Scalar fill.Tensor", "self, value", fill},
    {"zero", "self", zero},
    // Checks that were true when the program was traced; shapes are checked by constraints.
    {"_assert_tensor_metadata _assert_scalar _assert_async _assert_async.msg "
     "_functional_assert_scalar _functional_assert_async.msg sym_constrain_range "
     "sym_constrain_range_for_size promote_types",
     "*", nothing},
};

}  // namespace

std::span<const Row> copy_rows() { return kRows; }

}  // namespace tutti::pt2
