// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

namespace tutti {

TensorType local_type(const Program& program, ResidentId resident, int rank) {
  const TensorType& type = program.graph.residents[static_cast<size_t>(resident)].type;
  const auto state = program.states.find(resident);
  if (state == program.states.end()) return type;
  return {type.dtype, to_shape(local_shape(state->second, constant_dims(type.shape), rank))};
}

}  // namespace tutti
