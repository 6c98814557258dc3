// SPDX-License-Identifier: Apache-2.0
#include "compile/fuse.h"

#include <algorithm>
#include <map>
#include <queue>

#include "compile/layout.h"
#include "compile/pass.h"
#include "ops/concat.h"
#include "ops/constant.h"
#include "ops/reduce.h"
#include "ops/region_loops.h"
#include "ops/view_layout.h"
#include "ops/views.h"

namespace tutti {
namespace {

bool is_scalar_constant(const Op& op) {
  const auto* constant = op.as<Constant>();
  return constant != nullptr && constant->value.elements() == 1 &&
         constant->value.dtype != DType::i64;
}

bool transcendental(Elementwise fn) { return fn < Elementwise::neg; }

// Decides which values are computed into memory and builds the regions that compute them.
class Fuser {
 public:
  explicit Fuser(Function& f)
      : f_(f), wanted_(f.values.size()), users_(f.values.size()), single_users_(single_users(f)) {
    for (size_t n = 0; n < f.nodes.size(); ++n)
      for (ValueId id : f.nodes[n].inputs) users_[static_cast<size_t>(id)].push_back(to_index(n));
  }

  bool fuse() {
    want_results();
    for (size_t n = f_.nodes.size(); n-- > 0;) {
      const Node& node = f_.nodes[n];
      if (!fusable(node)) {
        for (ValueId id : node.inputs) want(id);
      } else if (is_wanted(node.outputs[0]) &&
                 elements(f_.type(node.outputs[0]).shape).value() > 0) {
        if (node.op.as<Concat>() || node.op.as<Full>() || is_scalar_constant(node.op) ||
            is_view(node.op))
          keep(node);
        else
          make_region(to_index(n));
      }
    }
    rebuild();
    return !regions_.empty();
  }

 private:
  static int32_t to_index(size_t n) { return static_cast<int32_t>(n); }

  bool fusable(const Node& node) const {
    if (!is_fusable(node.op) || node.outputs.size() != 1) return false;
    if (elements(f_.type(node.outputs[0]).shape).value() == 0) return false;
    auto small = [&](ValueId id) {
      return size_of(f_.type(id).dtype) == 1 && is_float(f_.type(id).dtype);
    };
    bool eight_bits = small(node.outputs[0]);
    for (ValueId id : node.inputs) eight_bits = eight_bits || small(id);
    if (eight_bits && !is_view(node.op)) return false;
    const auto* elementwise = node.op.as<ElementwiseOp>();
    if (elementwise == nullptr) return true;
    const size_t typed = elementwise->fn == Elementwise::select ? 1 : 0;
    const Lane lane = lane_of(f_.type(node.inputs[typed]).dtype);
    return region_loops(cpu::Isa::portable).compute(elementwise->fn, lane) != nullptr;
  }
  bool is_wanted(ValueId id) const { return wanted_[static_cast<size_t>(id)]; }

  void want_results() {
    for (const Output& output : f_.outputs)
      if (output.value != kNone) want(output.value);
    for (const Update& update : f_.updates) want(update.value);
  }

  // The value must exist in memory. A view exists when what it looks at does, unless strides
  // cannot say it: then it is computed by a region of its own.
  void want(ValueId id) { wanted_[static_cast<size_t>(id)] = true; }

  // Concatenations and views stay nodes; what they look at must exist.
  void keep(const Node& node) {
    if (is_view(node.op) && (!has_strides(node) || drops_computed(node))) {
      make_region(static_cast<int32_t>(&node - f_.nodes.data()));
      return;
    }
    for (ValueId id : node.inputs) want(id);
  }

  // Whether a chain of views leaves out elements of a computed value that nothing else looks at:
  // then only the others are computed, and where they are wanted.
  bool drops_computed(const Node& node) const {
    const Node* at = &node;
    while (at != nullptr && is_view(at->op)) {
      const ValueId id = at->inputs[0];
      if (is_wanted(id) || users_[static_cast<size_t>(id)].size() != 1) return false;
      at = f_.producer(id);
    }
    return at != nullptr && fusable(*at) && !at->op.as<Concat>() && !at->op.as<Full>() &&
           !is_scalar_constant(at->op) && count(at->outputs[0]) > count(node.outputs[0]);
  }

  int64_t count(ValueId id) const { return elements(f_.type(id).shape).value(); }

  // Whether a chain of views over contiguous memory can be said with strides.
  bool has_strides(const Node& node) const {
    std::vector<const Node*> chain;
    for (const Node* at = &node; at != nullptr && is_view(at->op); at = f_.producer(at->inputs[0]))
      chain.push_back(at);
    const ValueId base = chain.back()->inputs[0];
    Dims shape = constant_dims(f_.type(base).shape);
    Dims strides = preferred_strides(f_, single_users_, base);
    for (size_t i = chain.size(); i-- > 0;) {
      const auto view = view_layout(chain[i]->op, shape, strides);
      if (!view) return false;
      shape = view->shape, strides = view->strides;
    }
    return true;
  }

  // The nodes that a region for node `root` computes itself: those used by nothing else, and
  // cheap ones that are computed again.
  std::set<int32_t> choose_inlined(int32_t root, const std::set<ValueId>& leaves) const {
    std::set<int32_t> inlined{root};
    std::priority_queue<int32_t> open;
    std::set<int32_t> seen{root};
    auto visit = [&](int32_t n) {
      for (ValueId id : f_.nodes[static_cast<size_t>(n)].inputs)
        if (const int32_t from = f_.value(id).producer; from != kNone && seen.insert(from).second)
          open.push(from);
    };
    visit(root);
    while (!open.empty() && inlined.size() < 200) {
      const int32_t n = open.top();
      open.pop();
      const Node& node = f_.nodes[static_cast<size_t>(n)];
      if (!fusable(node) || leaves.count(node.outputs[0]) > 0) continue;
      if (!used_only_by(node.outputs[0], root, inlined) && !cheap(node)) continue;
      inlined.insert(n);
      visit(n);
    }
    return inlined;
  }

  // Also not through a view that others look at.
  bool used_only_by(ValueId id, int32_t root, const std::set<int32_t>& nodes) const {
    if (is_wanted(id) && !is_view(f_.producer(id)->op)) return false;
    for (int32_t user : users_[static_cast<size_t>(id)]) {
      const Node& node = f_.nodes[static_cast<size_t>(user)];
      if (nodes.count(user) == 0) return false;
      if (user != root && is_view(node.op) && !used_only_by(node.outputs[0], root, nodes))
        return false;
    }
    return true;
  }

  // Views cost nothing; one simple function of memory costs less than writing it and reading it.
  bool cheap(const Node& node) const {
    if (is_view(node.op) || node.op.as<Full>() || is_scalar_constant(node.op)) return true;
    if (is_wanted(node.outputs[0])) return false;
    const auto* elementwise = node.op.as<ElementwiseOp>();
    if (!node.op.as<Cast>() && (!elementwise || transcendental(elementwise->fn))) return false;
    for (ValueId id : node.inputs) {
      ValueId at = id;
      const Node* from = f_.producer(at);
      while (from != nullptr && is_view(from->op)) from = f_.producer(from->inputs[0]);
      if (from != nullptr && fusable(*from) && !from->op.as<Full>() &&
          !is_scalar_constant(from->op) && !is_wanted(from->outputs[0]))
        return false;
    }
    return true;
  }

  void make_region(int32_t root) {
    std::set<ValueId> leaves;
    for (;;) {
      const std::set<int32_t> inlined = choose_inlined(root, leaves);
      ValueId obstacle = kNone;
      auto built =
          build_region(f_, {f_.nodes[static_cast<size_t>(root)].outputs[0]}, inlined, obstacle);
      if (built) {
        for (ValueId id : built->inputs) want(id);
        regions_.emplace(root, std::move(*built));
        return;
      }
      const Node& node = f_.nodes[static_cast<size_t>(root)];
      if (obstacle == kNone || obstacle == node.outputs[0] || !leaves.insert(obstacle).second) {
        for (ValueId id : node.inputs) want(id);  // the operator stays a step of its own
        return;
      }
    }
  }

  // Puts each region in the place of the node it grew from.
  void rebuild() {
    for (auto& [n, built] : regions_) {
      Node& node = f_.nodes[static_cast<size_t>(n)];
      node.op = std::move(built.region);
      node.inputs = std::move(built.inputs);
    }
  }

  Function& f_;
  std::vector<bool> wanted_;
  std::vector<std::vector<int32_t>> users_;
  std::vector<int32_t> single_users_;  // before fusion
  std::map<int32_t, BuiltRegion> regions_;
};

}  // namespace

bool is_fusable(const Op& op) {
  return is_view(op) || op.as<ElementwiseOp>() || op.as<Cast>() || op.as<Full>() ||
         op.as<Concat>() || op.as<Reduce>() || is_scalar_constant(op);
}

bool fuse(Compilation& c) { return c.options.fuse && Fuser(c.function).fuse(); }

}  // namespace tutti
