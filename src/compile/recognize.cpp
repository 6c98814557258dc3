// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>
#include <optional>

#include "compile/pass.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/view_layout.h"

namespace tutti {
namespace {

// A polynomial in x and t: coefficients by the powers of both.
using Polynomial = std::map<std::pair<int, int>, double>;

constexpr int kMaxPower = 3;
constexpr int kMaxDepth = 8;  // nodes between a function and what it is written out as

// An activation as models write it out: result(x, t) with t = fn(inner(x)).
struct Formula {
  Elementwise fn;
  Polynomial inner;
  Polynomial result;
  Elementwise activation;
};

const std::vector<Formula>& formulas() {
  static const double kRoot = std::sqrt(2 / M_PI);
  static const Polynomial kHalves = {{{1, 0}, 0.5}, {{1, 1}, 0.5}};
  static const std::vector<Formula> kFormulas = {
      {Elementwise::tanh,
       {{{1, 0}, kRoot}, {{3, 0}, 0.044715 * kRoot}},
       kHalves,
       Elementwise::gelu_tanh},
      {Elementwise::erf, {{{1, 0}, M_SQRT1_2}}, kHalves, Elementwise::gelu},
      {Elementwise::sigmoid, {{{1, 0}, 1.0}}, {{{1, 1}, 1.0}}, Elementwise::silu},
  };
  return kFormulas;
}

// Equal but for what f32 rounds in the coefficients.
bool equal(const Polynomial& a, const Polynomial& b) {
  if (a.size() != b.size()) return false;
  for (auto i = a.begin(), j = b.begin(); i != a.end(); ++i, ++j)
    if (i->first != j->first || std::abs(i->second - j->second) > 1e-6 * std::abs(j->second))
      return false;
  return true;
}

class Recognizer {
 public:
  explicit Recognizer(Function& f) : f_(f), users_(f.values.size()) {
    for (size_t n = 0; n < f.nodes.size(); ++n)
      for (ValueId id : f.nodes[n].inputs) users_[static_cast<size_t>(id)].push_back(n);
  }

  bool run() {
    bool changed = false;
    for (const Node& node : f_.nodes)
      for (const Formula& formula : formulas())
        if (is(node, formula.fn)) changed = match(node, formula) || changed;
    return changed;
  }

 private:
  static bool is(const Node& node, Elementwise fn) {
    const auto* op = node.op.as<ElementwiseOp>();
    return op != nullptr && op->fn == fn;
  }

  bool match(const Node& node, const Formula& formula) {
    const TensorType& type = f_.type(node.outputs[0]);
    if (type.dtype != DType::f32 && type.dtype != DType::f64) return false;
    t_ = node.outputs[0];
    std::vector<ValueId> candidates;
    collect(node.inputs[0], candidates, kMaxDepth);
    for (ValueId x : candidates) {
      x_ = x;
      if (f_.type(x) != type) continue;
      const auto inner = polynomial(node.inputs[0], kMaxDepth);
      if (inner && equal(*inner, formula.inner) && replace_result(t_, formula, kMaxDepth))
        return true;
    }
    return false;
  }

  // The values that an expression is made of, itself first.
  void collect(ValueId id, std::vector<ValueId>& found, int depth) const {
    found.push_back(id);
    const Node* node = f_.producer(id);
    if (depth == 0 || node == nullptr || !node->op.as<ElementwiseOp>()) return;
    for (ValueId in : node->inputs) collect(in, found, depth - 1);
  }

  // Looks upwards from `id` for the result, and puts the activation in its place.
  bool replace_result(ValueId id, const Formula& formula, int depth) {
    for (size_t n : users_[static_cast<size_t>(id)]) {
      Node& user = f_.nodes[n];
      if (!user.op.as<ElementwiseOp>() || f_.type(user.outputs[0]) != f_.type(x_)) continue;
      const auto found = polynomial(user.outputs[0], kMaxDepth);
      if (found && equal(*found, formula.result)) {
        user.op = ElementwiseOp{formula.activation};
        user.inputs = {x_};
        return true;
      }
      if (found && depth > 0 && replace_result(user.outputs[0], formula, depth - 1)) return true;
    }
    return false;
  }

  // A value as a polynomial in x_ and t_; nothing when it is none of low degree.
  std::optional<Polynomial> polynomial(ValueId id, int depth) const {
    if (id == x_) return Polynomial{{{1, 0}, 1.0}};
    if (id == t_) return Polynomial{{{0, 1}, 1.0}};
    const Node* node = f_.producer(id);
    while (node != nullptr && is_view(node->op)) node = f_.producer(node->inputs[0]);
    if (node == nullptr || depth == 0) return std::nullopt;
    if (const auto* full = node->op.as<Full>()) return Polynomial{{{0, 0}, full->value}};
    const auto* op = node->op.as<ElementwiseOp>();
    if (op == nullptr || node->outputs[0] != id || node->inputs.size() != 2) return std::nullopt;
    const auto a = polynomial(node->inputs[0], depth - 1);
    const auto b = a ? polynomial(node->inputs[1], depth - 1) : std::nullopt;
    if (!b) return std::nullopt;
    if (op->fn == Elementwise::add) return sum(*a, *b);
    if (op->fn == Elementwise::mul) return product(*a, *b);
    const auto number = b->find({0, 0});
    if (b->size() != 1 || number == b->end()) return std::nullopt;
    if (op->fn == Elementwise::div) return product(*a, {{{0, 0}, 1 / number->second}});
    if (op->fn == Elementwise::pow && number->second == 2) return product(*a, *a);
    if (op->fn == Elementwise::pow && number->second == 3) {
      const auto square = product(*a, *a);
      return square ? product(*square, *a) : std::nullopt;
    }
    return std::nullopt;
  }

  static Polynomial sum(Polynomial a, const Polynomial& b) {
    for (const auto& [powers, factor] : b) a[powers] += factor;
    return a;
  }

  static std::optional<Polynomial> product(const Polynomial& a, const Polynomial& b) {
    Polynomial c;
    for (const auto& [p, u] : a) {
      for (const auto& [q, v] : b) {
        const auto powers = std::make_pair(p.first + q.first, p.second + q.second);
        if (powers.first > kMaxPower || powers.second > 1) return std::nullopt;
        c[powers] += u * v;
      }
    }
    return c;
  }

  Function& f_;
  std::vector<std::vector<size_t>> users_;  // by value: nodes
  ValueId x_ = kNone, t_ = kNone;
};

}  // namespace

bool recognize_activations(Compilation& c) {
  return c.options.fuse && Recognizer(c.function).run();
}

}  // namespace tutti
