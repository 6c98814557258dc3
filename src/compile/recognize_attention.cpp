// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <optional>

#include "compile/pass.h"
#include "ops/attention.h"
#include "ops/constant.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/views.h"

namespace tutti {
namespace {

// What is written out as matmul, scale, mask, softmax, matmul.
struct Written {
  ValueId q, k_transposed, v;  // [..., s, d], [..., d, t], [..., t, e]
  ValueId mask = kNone;        // added to the scores
  double scale = 1;
  Shape scores;  // [b, n, s, t], or with fewer leading axes
};

class Recognizer {
 public:
  explicit Recognizer(Function& f) : f_(f), uses_(f.use_counts()) {}

  bool run() {
    const std::vector<Node> old = f_.nodes;
    std::vector<std::optional<Written>> found(old.size());
    bool any = false;
    for (size_t n = 0; n < old.size(); ++n) {
      found[n] = match(old[n]);
      any = any || found[n];
    }
    if (!any) return false;
    f_.nodes.clear();
    for (size_t n = 0; n < old.size(); ++n) {
      if (found[n])
        write(*found[n], old[n]);
      else
        append(old[n]);
    }
    return true;
  }

 private:
  const Shape& shape(ValueId id) const { return f_.type(id).shape; }
  template <class T>
  const Node* made_by(ValueId id) const {
    const Node* node = f_.producer(id);
    return node != nullptr && node->op.as<T>() ? node : nullptr;
  }
  const Node* made_by(ValueId id, Elementwise fn) const {
    const Node* node = made_by<ElementwiseOp>(id);
    return node != nullptr && node->op.as<ElementwiseOp>()->fn == fn ? node : nullptr;
  }
  bool used_once(ValueId id) const { return uses_[static_cast<size_t>(id)] == 1; }

  // Back through casts, and reshapes that leave the last two axes.
  ValueId behind(ValueId id) const {
    while (const Node* node = f_.producer(id)) {
      const ValueId from = node->inputs.empty() ? kNone : node->inputs[0];
      const bool keeps_rows =
          node->op.as<Reshape>() && shape(id).size() >= 2 && shape(from).size() >= 2 &&
          std::equal(shape(id).end() - 2, shape(id).end(), shape(from).end() - 2);
      if (!keeps_rows && !node->op.as<Cast>()) return id;
      id = from;
    }
    return id;
  }

  std::optional<double> number(ValueId id) const {
    if (const Node* full = made_by<Full>(id)) return full->op.as<Full>()->value;
    const Node* node = made_by<Constant>(id);
    if (node == nullptr) return std::nullopt;
    const Tensor& value = node->op.as<Constant>()->value;
    if (value.elements() != 1) return std::nullopt;
    return cast(value, DType::f64).as<double>()[0];
  }

  std::optional<Written> match(const Node& product) const {
    if (!product.op.as<Matmul>() || product.inputs.size() != 2) return std::nullopt;
    const ValueId weights = without_guard(behind(product.inputs[0]));
    const Node* softmax = made_by<Softmax>(weights);
    if (softmax == nullptr || softmax->op.as<Softmax>()->log) return std::nullopt;
    const int rank = f_.type(weights).rank();
    if (rank < 3 || rank > 4 || softmax->op.as<Softmax>()->axis != rank - 1) return std::nullopt;
    Written w;
    w.v = product.inputs[1];
    w.scores = shape(weights);
    ValueId scores = softmax->inputs[0];
    if (const Node* sum = made_by(scores, Elementwise::add)) {
      // The mask is the side that no product leads to.
      const bool right = leads_to_product(sum->inputs[0]);
      scores = sum->inputs[right ? 0 : 1];
      w.mask = sum->inputs[right ? 1 : 0];
    }
    scores = without_scale(behind(scores), w.scale);
    const Node* first = made_by<Matmul>(scores);
    if (first == nullptr || first->inputs.size() != 2 || !used_once(scores)) return std::nullopt;
    w.q = first->inputs[0];
    w.k_transposed = first->inputs[1];
    if (w.mask != kNone && f_.type(w.mask).rank() > rank) return std::nullopt;
    return fits(w, product) ? std::optional(w) : std::nullopt;
  }

  bool leads_to_product(ValueId id) const {
    double ignored = 1;
    return made_by<Matmul>(without_scale(behind(id), ignored)) != nullptr;
  }

  ValueId without_scale(ValueId id, double& scale) const {
    for (;;) {
      const Node* mul = made_by(id, Elementwise::mul);
      const Node* div = made_by(id, Elementwise::div);
      const Node* node = mul ? mul : div;
      if (node == nullptr) return id;
      const auto factor = number(node->inputs[1]);
      const auto first = mul ? number(node->inputs[0]) : std::nullopt;
      if (!factor && !first) return id;
      scale *= first ? *first : mul ? *factor : 1 / *factor;
      id = behind(node->inputs[first ? 1 : 0]);
    }
  }

  // Rows that may attend to nothing, written out as zeros: select(not any(scores != -inf), 0, y).
  ValueId without_guard(ValueId id) const {
    const Node* select = made_by(id, Elementwise::select);
    if (select == nullptr || number(select->inputs[1]) != 0.0) return id;
    const Node* softmax = made_by<Softmax>(select->inputs[2]);
    const Node* all = made_by(select->inputs[0], Elementwise::logical_not);
    const Node* any = all ? made_by<Reduce>(all->inputs[0]) : nullptr;
    const Node* some = any && any->op.as<Reduce>()->fn == "any"
                           ? made_by(any->inputs[0], Elementwise::logical_not)
                           : nullptr;
    const Node* equal = some ? made_by(some->inputs[0], Elementwise::equal) : nullptr;
    if (softmax == nullptr || equal == nullptr || equal->inputs[0] != softmax->inputs[0] ||
        number(equal->inputs[1]) != -INFINITY)
      return id;
    return select->inputs[2];
  }

  bool fits(const Written& w, const Node& product) const {
    const auto leading = [&](ValueId id) {
      return elements(Shape(shape(id).begin(), shape(id).end() - 2));
    };
    for (const ValueId id : {w.q, w.k_transposed, w.v})
      if (shape(id).size() < 3) return false;
    const Dim heads = elements(Shape(w.scores.begin(), w.scores.end() - 2));
    return leading(w.q) == heads && leading(w.k_transposed) == heads && leading(w.v) == heads &&
           f_.type(w.q).dtype == f_.type(w.k_transposed).dtype &&
           shape(w.q).end()[-2] == w.scores.end()[-2] &&
           shape(product.outputs[0]).end()[-2] == w.scores.end()[-2];
  }

  void append(const Node& node) {
    f_.nodes.push_back(node);
    for (const ValueId id : node.outputs)
      f_.value(id).producer = static_cast<int32_t>(f_.nodes.size()) - 1;
  }

  void write(const Written& w, const Node& product) {
    const auto add = [&](Op op, std::vector<ValueId> in) {
      return f_.add1(std::move(op), std::move(in), "attention", product.scope);
    };
    // Without an axis of heads the first axis counts as heads.
    const Shape lead =
        w.scores.size() == 4 ? Shape{w.scores[0], w.scores[1]} : Shape{Dim(1), w.scores[0]};
    const auto in_heads = [&](ValueId id) {
      const Shape& own = shape(id);
      return add(Reshape{{lead[0], lead[1], own.end()[-2], own.end()[-1]}}, {id});
    };
    const DType dtype = f_.type(w.q).dtype;
    std::vector<ValueId> in = {in_heads(w.q),
                               add(Permute{{0, 1, 3, 2}}, {in_heads(w.k_transposed)}),
                               in_heads(add(Cast{dtype}, {w.v}))};
    Attention op;
    op.scale = w.scale;
    if (w.mask != kNone) in.push_back(mask(w, dtype, add));
    const ValueId y = add(op, in);
    const TensorType& type = f_.type(product.outputs[0]);
    const ValueId shaped = add(Reshape{type.shape}, {y});
    append({Cast{type.dtype}, {shaped}, product.outputs, product.scope});
  }

  // A boolean where the addend is select(allowed, 0, -inf).
  template <class Add>
  ValueId mask(const Written& w, DType dtype, const Add& add) {
    const ValueId source = behind(w.mask);
    const Node* select = made_by(source, Elementwise::select);
    ValueId found = w.mask;
    if (select != nullptr && source == w.mask && number(select->inputs[1]) == 0.0 &&
        number(select->inputs[2]) == -INFINITY)
      found = select->inputs[0];
    else if (f_.type(found).dtype != dtype)
      found = add(Cast{dtype}, {found});
    if (w.scores.size() == 3 && shape(found).size() == 3) {
      const Shape own = shape(found);
      found = add(Reshape{{Dim(1), own[0], own[1], own[2]}}, {found});
    }
    return found;
  }

  Function& f_;
  std::vector<int> uses_;
};

}  // namespace

bool recognize_attention(Compilation& c) {
  if (!c.options.fuse && c.program.mesh.empty()) return false;
  return Recognizer(c.function).run();
}

}  // namespace tutti
