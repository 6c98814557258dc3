// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Rebuilds the list of nodes: f(reshape(product), y) becomes reshape(f(product, reshape(y))).
class Sinker {
 public:
  explicit Sinker(Function& f)
      : f_(f),
        uses_(f.use_counts()),
        reshaped_(f.values.size(), kNone),
        product_(f.values.size()) {}

  bool run() {
    std::vector<Node> old = std::move(f_.nodes);
    f_.nodes.clear();
    bool changed = false;
    for (Node& node : old) {
      if (const ValueId source = source_of(node); source != kNone) {
        sink(node, source);
        changed = true;
        continue;
      }
      if (node.op.as<Matmul>()) product_[static_cast<size_t>(node.outputs[0])] = true;
      if (node.op.as<Reshape>() && product_[static_cast<size_t>(node.inputs[0])] &&
          uses_[static_cast<size_t>(node.inputs[0])] == 1)
        reshaped_[static_cast<size_t>(node.outputs[0])] = node.inputs[0];
      push(std::move(node));
    }
    return changed;
  }

 private:
  void push(Node node) {
    for (ValueId id : node.outputs) f_.value(id).producer = static_cast<int32_t>(f_.nodes.size());
    f_.nodes.push_back(std::move(node));
  }

  // The product behind the reshape that an elementwise node works on, when all its other operands
  // are numbers or have the shape of the result.
  ValueId source_of(const Node& node) const {
    if (!node.op.as<ElementwiseOp>()) return kNone;
    const Shape& shape = f_.type(node.outputs[0]).shape;
    ValueId source = kNone;
    for (ValueId id : node.inputs) {
      const ValueId behind = reshaped_[static_cast<size_t>(id)];
      if (source == kNone && behind != kNone && uses_[static_cast<size_t>(id)] == 1)
        source = behind;
      if (f_.type(id).rank() > 0 && f_.type(id).shape != shape) return kNone;
    }
    return source;
  }

  void sink(const Node& node, ValueId source) {
    const Shape shape = f_.type(source).shape;
    std::vector<ValueId> in;
    for (ValueId id : node.inputs) {
      if (f_.type(id).rank() == 0)
        in.push_back(id);
      else if (reshaped_[static_cast<size_t>(id)] == source)
        in.push_back(source);
      else
        in.push_back(add(Reshape{shape}, {id}, node));
    }
    const ValueId result = add(node.op, in, node);
    product_[static_cast<size_t>(result)] = true;
    reshaped_[static_cast<size_t>(node.outputs[0])] = result;
    push({Reshape{f_.type(node.outputs[0]).shape}, {result}, node.outputs, node.scope});
  }

  ValueId add(Op op, std::vector<ValueId> in, const Node& at) {
    const ValueId id = f_.add1(std::move(op), std::move(in), {}, at.scope);
    uses_.resize(f_.values.size(), 1);
    reshaped_.resize(f_.values.size(), kNone);
    product_.resize(f_.values.size());
    return id;
  }

  Function& f_;
  std::vector<int> uses_;
  std::vector<ValueId> reshaped_;  // by value: the product that it is a reshape of
  std::vector<bool> product_;      // by value: a product, or a function of one
};

}  // namespace

bool sink_reshapes(Compilation& c) { return c.options.fuse && Sinker(c.function).run(); }

}  // namespace tutti
