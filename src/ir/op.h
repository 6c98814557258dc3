// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "ir/attribute.h"
#include "ir/type.h"

namespace tutti {

namespace cpu {
class Pool;
}

/// All that a kernel may touch. Tensors may have any strides; outputs do not overlap inputs unless
/// the operator says that it works in place.
struct KernelArgs {
  std::span<const Tensor> in;
  std::span<const Tensor> out;
  void* workspace;  ///< workspace() bytes, aligned to 64; null when 0
  cpu::Pool& pool;
};

using Types = std::span<const TensorType>;

/// One member of an operator struct: its name, where it is, and what it means.
template <class T, class Member>
struct Field {
  std::string_view name;
  Member T::*member;
  std::string_view doc;
};
template <class T, class Member>
constexpr Field<T, Member> field(std::string_view name, Member T::*member, std::string_view doc) {
  return {name, member, doc};
}

/// A struct that defines an operator: attributes as members, `fields()` naming them once, types
/// from `infer`, and its plain CPU implementation. shard/factors.cpp says how it may be split.
template <class T>
concept Operator = std::copyable<T> && requires(const T op, Types in, const KernelArgs& args) {
  { T::kName } -> std::convertible_to<std::string_view>;
  { T::kDoc } -> std::convertible_to<std::string_view>;
  T::fields();
  { op.infer(in) } -> std::same_as<std::vector<TensorType>>;
};

/// An operator with its attributes: an immutable value, cheap to copy.
class Op {
 public:
  Op() = default;
  template <class T>
    requires(!std::same_as<T, Op> && Operator<T>)
  Op(T op) : self_(std::make_shared<const Model<T>>(std::move(op))) {}

  std::string_view name() const { return self_->name(); }
  /// Types of the outputs; throws invalid_argument naming the operator, the operand, found, wanted.
  std::vector<TensorType> infer(Types in) const;
  /// Attributes as text, in the order of fields().
  Attributes attributes() const { return self_->attributes(); }
  /// The same operator with symbols in its attributes replaced.
  Op substitute(const SymbolValues& values) const { return self_->substitute(values); }
  /// Bytes of workspace the plain CPU implementation wants.
  size_t workspace(Types in) const { return self_->workspace(in); }
  /// True for what matters beyond its results, as collectives do (`kEffects` of the struct): never
  /// removed, merged, folded, fused or moved past another one; it runs once in each run.
  bool has_effects() const { return self_->has_effects(); }
  /// Runs the plain CPU implementation: also the reference for all others.
  void cpu(const KernelArgs& args) const { self_->cpu(args); }

  /// The struct behind it, or null when the operator is another one.
  template <class T>
  const T* as() const {
    const auto* model = dynamic_cast<const Model<T>*>(self_.get());
    return model ? &model->op : nullptr;
  }
  explicit operator bool() const { return self_ != nullptr; }
  friend bool operator==(const Op& a, const Op& b) {
    return a.self_ == b.self_ || (a.name() == b.name() && a.attributes() == b.attributes());
  }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual std::string_view name() const = 0;
    virtual std::vector<TensorType> infer(Types in) const = 0;
    virtual Attributes attributes() const = 0;
    virtual Op substitute(const SymbolValues& values) const = 0;
    virtual size_t workspace(Types in) const = 0;
    virtual bool has_effects() const = 0;
    virtual void cpu(const KernelArgs& args) const = 0;
  };

  template <class T>
  struct Model final : Concept {
    explicit Model(T o) : op(std::move(o)) {}

    std::string_view name() const override {
      if constexpr (requires { op.name(); })
        return op.name();
      else
        return T::kName;
    }
    std::vector<TensorType> infer(Types in) const override { return op.infer(in); }
    Attributes attributes() const override {
      Attributes list;
      std::apply([&](auto... f) { (list.emplace_back(f.name, attribute_text(op.*f.member)), ...); },
                 T::fields());
      return list;
    }
    Op substitute(const SymbolValues& values) const override {
      T copy = op;
      std::apply([&](auto... f) { (substitute_attribute(copy.*f.member, values), ...); },
                 T::fields());
      return copy;
    }
    size_t workspace(Types in) const override {
      if constexpr (requires { op.workspace(in); })
        return op.workspace(in);
      else
        return 0;
    }
    bool has_effects() const override {
      if constexpr (requires { T::kEffects; })
        return T::kEffects;
      else
        return false;
    }
    void cpu(const KernelArgs& args) const override {
      if constexpr (requires { op.cpu(args); })
        op.cpu(args);
      else
        fail(Errc::unsupported, name(), ": has no CPU implementation");
    }

    T op;
  };

  std::shared_ptr<const Concept> self_;
};

/// A row of the operator table.
struct OpDef {
  std::string_view name, doc;
  /// The operator with these attributes; throws invalid_argument for an unknown or unreadable one.
  Op (*parse)(std::string_view name, const Attributes& attributes);
  /// Attribute names and what they mean.
  std::vector<std::pair<std::string_view, std::string_view>> fields;
};

template <Operator T>
Op parse_op(std::string_view name, const Attributes& attributes) {
  T op;
  if constexpr (requires { op.set_name(name); }) op.set_name(name);
  for (const auto& [key, text] : attributes) {
    bool known = false;
    std::apply(
        [&, &key = key, &text = text](auto... f) {
          ((f.name == key ? (known = true,
                             require_argument(parse_attribute(text, op.*f.member), name,
                                              ": attribute ", key, " = ", text, " is unreadable"))
                          : void()),
           ...);
        },
        T::fields());
    require_argument(known, name, ": has no attribute ", key);
  }
  return op;
}

/// The row of the struct T.
template <Operator T>
OpDef op_def() {
  OpDef def{T::kName, T::kDoc, &parse_op<T>, {}};
  std::apply([&](auto... f) { (def.fields.emplace_back(f.name, f.doc), ...); }, T::fields());
  return def;
}

}  // namespace tutti
