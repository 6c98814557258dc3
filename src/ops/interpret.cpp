// SPDX-License-Identifier: Apache-2.0
#include "ops/interpret.h"

#include "core/error.h"

namespace tutti {

Interpretation interpret(const Function& f, std::span<const Tensor> inputs,
                         std::span<const Tensor> residents, cpu::Pool& pool) {
  require_argument(inputs.size() == f.inputs.size(), f.name, ": ", inputs.size(),
                   " inputs given; ", f.inputs.size(), " are wanted");
  std::vector<Tensor> values(f.values.size());
  std::vector<int> uses = f.use_counts();
  for (size_t i = 0; i < inputs.size(); ++i) values[static_cast<size_t>(f.inputs[i])] = inputs[i];
  for (size_t i = 0; i < f.values.size(); ++i) {
    const ResidentId resident = f.values[i].resident;
    if (resident == kNone || uses[i] == 0) continue;
    values[i] = residents[static_cast<size_t>(resident)];
    require(values[i].data != nullptr || values[i].elements() == 0, Errc::not_found, "resident ",
            f.values[i].name, " has no bytes");
  }
  for (const Node& node : f.nodes) {
    std::vector<Tensor> in, out;
    std::vector<TensorType> types;
    for (ValueId id : node.inputs) {
      in.push_back(values[static_cast<size_t>(id)]);
      types.push_back(f.type(id));
    }
    for (ValueId id : node.outputs) {
      out.push_back(Tensor::zeros(f.type(id).dtype, constant_dims(f.type(id).shape)));
      values[static_cast<size_t>(id)] = out.back();
    }
    const auto bytes = static_cast<int64_t>(node.op.workspace(types));
    const Tensor workspace = Tensor::zeros(DType::u8, {bytes});
    node.op.cpu({in, out, workspace.data, pool});
    for (ValueId id : node.inputs)
      if (--uses[static_cast<size_t>(id)] == 0) values[static_cast<size_t>(id)] = {};
  }
  Interpretation result;
  for (const Output& output : f.outputs)
    result.outputs.push_back(output.value == kNone ? Tensor{}
                                                   : values[static_cast<size_t>(output.value)]);
  for (const Update& update : f.updates)
    result.updates.push_back(values[static_cast<size_t>(update.value)]);
  return result;
}

}  // namespace tutti
