// SPDX-License-Identifier: Apache-2.0
#include "compile/evaluate.h"

#include <algorithm>

#include "compile/pass.h"
#include "device/cpu/pool.h"
#include "ops/constant.h"
#include "ops/implementation.h"
#include "ops/views.h"

namespace tutti {
namespace {

bool is_source(const Op& op) { return op.as<Full>() || op.as<Constant>() || op.as<Arange>(); }

// Runs a function of constants; a result is let go after its last use.
class Evaluator {
 public:
  Evaluator(const Function& f, bool fast)
      : f_(f), fast_(fast), uses_(f.use_counts()), contents_(f.values.size()), pool_(1) {}

  std::vector<Tensor> run() {
    for (const Node& node : f_.nodes) run(node);
    std::vector<Tensor> results;
    for (const Output& output : f_.outputs) results.push_back(content(output.value));
    return results;
  }

 private:
  Tensor& content(ValueId id) { return contents_[static_cast<size_t>(id)]; }

  void run(const Node& node) {
    std::vector<Tensor> in, out;
    std::vector<TensorType> types;
    for (const ValueId id : node.inputs) {
      in.push_back(content(id));
      types.push_back(f_.type(id));
    }
    for (const ValueId id : node.outputs) {
      const TensorType& type = f_.type(id);
      out.push_back(content(id) = Tensor::zeros(type.dtype, constant_dims(type.shape)));
    }
    const auto kernel = fast_ ? prepare_kernel({node.op, in, out}).first : nullptr;
    const size_t bytes = kernel ? kernel->workspace() : node.op.workspace(types);
    Tensor workspace = Tensor::zeros(DType::u8, {static_cast<int64_t>(bytes)});
    const KernelArgs args{in, out, workspace.data, pool_};
    if (kernel)
      kernel->run(args);
    else
      node.op.cpu(args);
    for (const ValueId id : node.inputs)
      if (--uses_[static_cast<size_t>(id)] == 0) content(id) = Tensor();
  }

  const Function& f_;
  bool fast_;
  std::vector<int> uses_;
  std::vector<Tensor> contents_;  // by value
  cpu::Pool pool_;
};

// What computes these values, and nothing else: not even what has effects.
Function part_of(Function f, const std::vector<ValueId>& values) {
  std::vector<bool> needed(f.values.size());
  f.outputs.clear();
  f.updates.clear();
  for (const ValueId id : values) {
    f.outputs.push_back({f.value(id).name, id});
    needed[static_cast<size_t>(id)] = true;
  }
  std::vector<Node> nodes;
  for (size_t n = f.nodes.size(); n-- > 0;) {
    Node& node = f.nodes[n];
    const bool used = std::any_of(node.outputs.begin(), node.outputs.end(),
                                  [&](ValueId id) { return needed[static_cast<size_t>(id)]; });
    if (!used) continue;
    for (const ValueId id : node.inputs) needed[static_cast<size_t>(id)] = true;
    nodes.push_back(std::move(node));
  }
  std::reverse(nodes.begin(), nodes.end());
  f.nodes = std::move(nodes);
  f.remove_dead();
  return f;
}

}  // namespace

std::vector<bool> constant_values(const Function& f, int64_t max_elements) {
  std::vector<bool> constant(f.values.size());
  for (const Node& node : f.nodes) {
    bool all = (!node.inputs.empty() || is_source(node.op)) && !node.op.has_effects();
    for (const ValueId id : node.inputs) all = all && constant[static_cast<size_t>(id)];
    for (const ValueId id : node.outputs)
      constant[static_cast<size_t>(id)] = all && elements(f.type(id).shape).value() <= max_elements;
  }
  return constant;
}

std::vector<Tensor> evaluate(const Function& f, const std::vector<ValueId>& values, bool fast) {
  Program program;
  const CompileOptions options;
  Compilation c{program, part_of(f, values), options};
  if (fast && fuse(c)) c.function.remove_dead();
  return Evaluator(c.function, fast).run();
}

}  // namespace tutti
