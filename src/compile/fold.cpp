// SPDX-License-Identifier: Apache-2.0
#include "compile/pass.h"
#include "device/cpu/pool.h"
#include "ops/constant.h"
#include "ops/views.h"

namespace tutti {
namespace {

// Larger results are left to run, where fusion may never write them to memory.
constexpr int64_t kMaxElements = int64_t{1} << 22;

bool is_source(const Op& op) { return op.as<Full>() || op.as<Constant>() || op.as<Arange>(); }

// Evaluates nodes on demand, each once.
class Folder {
 public:
  explicit Folder(const Function& f) : f_(f), results_(f.values.size()), pool_(1) {}

  const Tensor& value(ValueId id) {
    Tensor& result = results_[static_cast<size_t>(id)];
    if (result.data == nullptr) evaluate(*f_.producer(id));
    return result;
  }

 private:
  void evaluate(const Node& node) {
    std::vector<Tensor> in, out;
    std::vector<TensorType> types;
    for (ValueId id : node.inputs) {
      in.push_back(value(id));
      types.push_back(f_.type(id));
    }
    for (ValueId id : node.outputs) {
      const TensorType& type = f_.type(id);
      out.push_back(Tensor::zeros(type.dtype, constant_dims(type.shape)));
      results_[static_cast<size_t>(id)] = out.back();
    }
    Tensor workspace = Tensor::zeros(DType::u8, {static_cast<int64_t>(node.op.workspace(types))});
    node.op.cpu({in, out, workspace.data, pool_});
  }

  const Function& f_;
  std::vector<Tensor> results_;
  cpu::Pool pool_;
};

}  // namespace

bool fold_constants(Compilation& c) {
  Function& f = c.function;
  std::vector<bool> constant(f.values.size());
  for (const Node& node : f.nodes) {
    bool all = (!node.inputs.empty() || is_source(node.op)) && !node.op.has_effects();
    for (ValueId id : node.inputs) all = all && constant[static_cast<size_t>(id)];
    for (ValueId id : node.outputs)
      constant[static_cast<size_t>(id)] = all && elements(f.type(id).shape).value() <= kMaxElements;
  }
  // The frontier: constant values that something not constant uses, or that are results.
  std::vector<bool> wanted(f.values.size());
  for (const Node& node : f.nodes) {
    if (!node.outputs.empty() && constant[static_cast<size_t>(node.outputs[0])]) continue;
    for (ValueId id : node.inputs) wanted[static_cast<size_t>(id)] = true;
  }
  for (const Output& output : f.outputs)
    if (output.value != kNone) wanted[static_cast<size_t>(output.value)] = true;
  for (const Update& update : f.updates) wanted[static_cast<size_t>(update.value)] = true;

  Folder folder(f);
  bool changed = false;
  for (Node& node : f.nodes) {
    if (node.op.as<Full>() || node.op.as<Constant>() || node.op.as<Expand>()) continue;
    if (node.outputs.size() != 1) continue;
    const ValueId id = node.outputs[0];
    if (!constant[static_cast<size_t>(id)] || !wanted[static_cast<size_t>(id)]) continue;
    node.op = Constant{folder.value(id)};
    node.inputs.clear();
    changed = true;
  }
  return changed;
}

}  // namespace tutti
