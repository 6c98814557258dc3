// SPDX-License-Identifier: Apache-2.0
#include "shard/strategy.h"

#include <algorithm>

#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/conv.h"
#include "ops/gather.h"
#include "ops/matmul.h"

namespace tutti::shard {
namespace {

// Values that follow from weights and constants alone, and from no state.
std::vector<bool> weights_of(const Function& f) {
  std::vector<bool> fixed(f.values.size());
  for (size_t v = 0; v < f.values.size(); ++v)
    fixed[v] = f.values[v].resident != kNone &&
               std::none_of(f.updates.begin(), f.updates.end(), [&](const Update& update) {
                 return update.resident == f.values[v].resident;
               });
  for (const Node& node : f.nodes)
    for (const ValueId id : node.outputs)
      fixed[static_cast<size_t>(id)] =
          std::all_of(node.inputs.begin(), node.inputs.end(),
                      [&](ValueId in) { return fixed[static_cast<size_t>(in)]; });
  return fixed;
}

// A product or convolution of a value with a weight.
bool multiplies_weight(const Node& node, const std::vector<bool>& weights) {
  const auto* conv = node.op.as<Conv>();
  return (node.op.as<Matmul>() || (conv != nullptr && conv->groups == 1)) &&
         weights[static_cast<size_t>(node.inputs[1])] &&
         !weights[static_cast<size_t>(node.inputs[0])];
}

// The dimension of its operand that it sums over, and that of its result which the weight makes.
int hidden(const Node& node, const Desires& desires, ValueId id) {
  return node.op.as<Conv>() ? 1 : desires.shape(id).rank() - 1;
}

class TensorParallel {
 public:
  TensorParallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires)
      : f_(f),
        mesh_(mesh),
        axes_(axes),
        desires_(desires),
        trial_(desires.none()),
        weights_(weights_of(f)),
        tried_(f.values.size()) {
    for (const Node& node : f.nodes)
      if (multiplies_weight(node, weights_)) products_.push_back(&node);
  }

  void run() {
    for (const Node& node : f_.nodes) seed_heads(node);
    for (const Node& node : f_.nodes) seed_rows(node);
    for (const Node* product : products_) seed_pair(*product);
    for (const Node* product : products_) seed_last(*product);
  }

 private:
  Table block(int64_t extent, int64_t unit = 1) const {
    return Table::block(mesh_, axes_, extent, unit);
  }

  void seed_heads(const Node& node) {
    if (!node.op.as<Attention>()) return;
    const int64_t n = desires_.shape(node.inputs[0])[1], m = desires_.shape(node.inputs[1])[1];
    const int64_t unit = m >= mesh_.size(axes_) ? n / m : 1;
    desires_.seed(node.inputs[0], 1, block(n, unit), "heads of attention");
  }

  // The rows of a table of which a run takes fewer than it saves by holding a part: what is sent is
  // the sum of what ranks find.
  void seed_rows(const Node& node) {
    const auto* take = node.op.as<Take>();
    if (take == nullptr || take->axis != 0) return;
    const ValueId table = node.inputs[0];
    const int64_t rows = desires_.shape(table)[0];
    if (f_.value(table).resident != kNone &&
        rows > 2 * elements(f_.type(node.inputs[1]).shape).value())
      desires_.seed(table, 0, block(rows), "rows of a table, of which few are taken");
  }

  // Splits a dimension evenly; that of a concatenation part by part.
  void seed_parts(ValueId id, int dim, Desires& desires) {
    const Node* node = f_.producer(id);
    if (node != nullptr && node->op.as<Concat>() && node->op.as<Concat>()->axis == dim) {
      for (const ValueId part : node->inputs) seed_parts(part, dim, desires);
      return;
    }
    desires.seed(id, dim, block(desires.shape(id)[dim]),
                 "a product with a weight sums over it, and another one makes it");
  }

  // Splits what a product with a weight sums over, where another such product makes it.
  void seed_pair(const Node& row) {
    const ValueId x = row.inputs[0];
    const int k = hidden(row, desires_, x);
    if (desires_.at(x, k) || tried_[static_cast<size_t>(x)]) return;
    tried_[static_cast<size_t>(x)] = true;
    trial_.clear();
    seed_parts(x, k, trial_);
    bool found = false;
    for (const Node* column : products_) {
      const ValueId y = column->outputs[0], from = column->inputs[0];
      if (column == &row || !trial_.at(y, hidden(*column, trial_, y))) continue;
      const auto& summed = desires_.at(from, hidden(*column, desires_, from));
      if (summed && (summed->axes() & axes_) != 0) return;
      found = true;
    }
    if (found) seed_parts(x, k, desires_);
  }

  // Splits the columns of a last product, such as logits, where its weight is larger than its
  // result: they are gathered with the results.
  void seed_last(const Node& node) {
    const ValueId x = node.inputs[0], y = node.outputs[0], weight = node.inputs[1];
    const int n = hidden(node, desires_, y);
    if (desires_.at(x, hidden(node, desires_, x)) || desires_.at(y, n) ||
        elements(f_.type(weight).shape).value() <= elements(f_.type(y).shape).value())
      return;
    trial_.clear();
    trial_.seed(y, n, block(desires_.shape(y)[n]));
    for (const Node* reader : products_)
      for (int d = 0; reader != &node && d < trial_.shape(reader->inputs[0]).rank(); ++d)
        if (trial_.at(reader->inputs[0], d)) return;
    desires_.seed(y, n, block(desires_.shape(y)[n]),
                  "no product reads the result of this one, whose weight is larger");
  }

  const Function& f_;
  const Mesh& mesh_;
  AxisSet axes_;
  Desires& desires_;
  Desires trial_;  // what follows from one seed
  std::vector<bool> weights_, tried_;
  std::vector<const Node*> products_;  // with weights
};

}  // namespace

void seed_tensor_parallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires) {
  TensorParallel(f, mesh, axes, desires).run();
}

void seed_context_parallel(const Function& f, const Mesh& mesh, AxisSet axes, bool zigzag,
                           Desires& desires) {
  const auto table = [&](int64_t extent) {
    return zigzag ? Table::zigzag(mesh, axes, extent) : Table::block(mesh, axes, extent);
  };
  // Where queries and keys come from, whatever the tables.
  Desires trial = desires.none();
  for (const Node& node : f.nodes)
    if (node.op.as<Attention>())
      for (size_t i = 0; i < 2; ++i)
        trial.seed(node.inputs[i], 2, table(trial.shape(node.inputs[i])[2]), "");
  struct Origin {
    ValueId input;
    int dim;
    int64_t elements;
  };
  std::vector<Origin> origins;
  for (const ValueId id : f.inputs)
    for (int d = 0; d < trial.shape(id).rank(); ++d)
      if (trial.at(id, d)) origins.push_back({id, d, elements(f.type(id).shape).value()});
  std::stable_sort(origins.begin(), origins.end(),
                   [](const Origin& a, const Origin& b) { return a.elements > b.elements; });
  for (const Origin& origin : origins)
    desires.seed(origin.input, origin.dim, table(desires.shape(origin.input)[origin.dim]),
                 "queries or keys of attention come from this dimension of an input");
  // Queries that come from no input.
  for (const Node& node : f.nodes)
    if (node.op.as<Attention>())
      desires.seed(node.inputs[0], 2, table(desires.shape(node.inputs[0])[2]),
                   "queries of attention that come from no input");
}

void seed_data_parallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires) {
  std::vector<ValueId> inputs = f.inputs;
  std::stable_sort(inputs.begin(), inputs.end(), [&](ValueId a, ValueId b) {
    return elements(f.type(a).shape).value() > elements(f.type(b).shape).value();
  });
  for (const ValueId id : inputs) {
    if (desires.shape(id).rank() == 0) continue;
    const int64_t batch = desires.shape(id)[0];
    Desires trial = desires.none();
    trial.seed(id, 0, Table::block(mesh, axes, batch), "");
    const bool reaches_outputs =
        std::all_of(f.outputs.begin(), f.outputs.end(), [&](const Output& output) {
          return output.value == kNone || desires.shape(output.value).rank() == 0 ||
                 trial.at(output.value, 0);
        });
    if (reaches_outputs)
      desires.seed(id, 0, Table::block(mesh, axes, batch), "the batch of an input and all outputs");
  }
}

}  // namespace tutti::shard
