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

// Splits a dimension evenly; that of a concatenation part by part.
void seed_parts(const Function& f, const Mesh& mesh, AxisSet axes, ValueId id, int dim,
                Desires& desires) {
  const Node* node = f.producer(id);
  if (node != nullptr && node->op.as<Concat>() && node->op.as<Concat>()->axis == dim) {
    for (const ValueId part : node->inputs) seed_parts(f, mesh, axes, part, dim, desires);
    return;
  }
  desires.seed(id, dim, Table::block(mesh, axes, desires.shape(id)[dim]),
               "a product with a weight sums over it, and another one makes it");
}

// Splits what a product with a weight sums over, where another such product makes it.
void seed_pair(const Function& f, const Mesh& mesh, AxisSet axes, const Node& row,
               const std::vector<bool>& weights, Desires& desires) {
  const ValueId x = row.inputs[0];
  const int k = hidden(row, desires, x);
  if (desires.at(x, k)) return;
  Desires trial = desires.none();
  seed_parts(f, mesh, axes, x, k, trial);
  bool found = false;
  for (const Node& column : f.nodes) {
    if (&column == &row || !multiplies_weight(column, weights)) continue;
    const ValueId y = column.outputs[0];
    const auto& reached = trial.at(y, hidden(column, trial, y));
    if (!reached) continue;
    const ValueId from = column.inputs[0];
    const auto& summed = desires.at(from, hidden(column, desires, from));
    if (summed && (summed->axes() & axes) != 0) return;
    found = true;
  }
  if (found) seed_parts(f, mesh, axes, x, k, desires);
}

// Splits the rows of a table of which a run takes fewer than it saves by holding a part: what is
// sent is the sum of what ranks find.
void seed_rows(const Function& f, const Mesh& mesh, AxisSet axes, const Node& node,
               Desires& desires) {
  const auto* take = node.op.as<Take>();
  const ValueId table = node.inputs[0];
  if (take == nullptr || take->axis != 0 || f.value(table).resident == kNone) return;
  const int64_t rows = desires.shape(table)[0];
  if (rows > 2 * elements(f.type(node.inputs[1]).shape).value())
    desires.seed(table, 0, Table::block(mesh, axes, rows),
                 "rows of a table, of which few are taken");
}

// Splits the columns of a last product, such as logits, where its weight is larger than its result:
// no other product reads them, and they are gathered with the results.
void seed_last(const Function& f, const Mesh& mesh, AxisSet axes, const Node& node,
               Desires& desires) {
  const ValueId x = node.inputs[0], y = node.outputs[0];
  const int n = desires.shape(y).rank() - 1;
  if (!node.op.as<Matmul>() || desires.at(x, desires.shape(x).rank() - 1) || desires.at(y, n))
    return;
  const int64_t columns = desires.shape(y)[n];
  if (elements(f.type(node.inputs[1]).shape).value() <= elements(f.type(y).shape).value()) return;
  Desires trial = desires.none();
  const Table table = Table::block(mesh, axes, columns);
  trial.seed(y, n, table);
  for (const Node& reader : f.nodes) {
    if (!reader.op.as<Matmul>() && !reader.op.as<Attention>() && !reader.op.as<Conv>()) continue;
    for (const ValueId id : reader.inputs)
      for (int d = 0; d < trial.shape(id).rank(); ++d)
        if (trial.at(id, d) && id != node.inputs[1] && !(&reader == &node)) return;
  }
  desires.seed(y, n, table, "no product reads the result of this one, whose weight is larger");
}

}  // namespace

void seed_tensor_parallel(const Function& f, const Mesh& mesh, AxisSet axes, Desires& desires) {
  for (const Node& node : f.nodes) {
    if (!node.op.as<Attention>()) continue;
    const int64_t n = desires.shape(node.inputs[0])[1], m = desires.shape(node.inputs[1])[1];
    const int64_t unit = m >= mesh.size(axes) ? n / m : 1;
    desires.seed(node.inputs[0], 1, Table::block(mesh, axes, n, unit), "heads of attention");
  }
  for (const Node& node : f.nodes) seed_rows(f, mesh, axes, node, desires);
  const std::vector<bool> weights = weights_of(f);
  for (const Node& node : f.nodes)
    if (multiplies_weight(node, weights)) seed_pair(f, mesh, axes, node, weights, desires);
  for (const Node& node : f.nodes)
    if (multiplies_weight(node, weights)) seed_last(f, mesh, axes, node, desires);
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
