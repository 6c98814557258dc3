// SPDX-License-Identifier: Apache-2.0
#include "compile/layout.h"

#include "ops/attention.h"
#include "ops/views.h"

namespace tutti {

std::vector<int32_t> single_users(const Function& f) {
  std::vector<int32_t> users(f.values.size(), kNone);
  const std::vector<int> counts = f.use_counts();
  for (size_t n = 0; n < f.nodes.size(); ++n)
    for (ValueId id : f.nodes[n].inputs)
      if (counts[static_cast<size_t>(id)] == 1)
        users[static_cast<size_t>(id)] = static_cast<int32_t>(n);
  return users;
}

Dims preferred_strides(const Function& f, const std::vector<int32_t>& users, ValueId id) {
  const Dims shape = constant_dims(f.type(id).shape);
  const Node* producer = f.producer(id);
  const int32_t user = users[static_cast<size_t>(id)];
  const bool chooses = producer != nullptr && producer->op.as<Attention>() && user != kNone;
  const auto* permute = chooses ? f.nodes[static_cast<size_t>(user)].op.as<Permute>() : nullptr;
  if (permute == nullptr) return contiguous_strides(shape);
  Dims permuted;
  for (int64_t axis : permute->axes) permuted.push_back(shape[static_cast<int>(axis)]);
  const Dims dense = contiguous_strides(permuted);
  Dims strides = dense;
  for (size_t i = 0; i < permute->axes.size(); ++i)
    strides[static_cast<int>(permute->axes[i])] = dense[static_cast<int>(i)];
  return strides;
}

}  // namespace tutti
