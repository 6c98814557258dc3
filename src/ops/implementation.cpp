// SPDX-License-Identifier: Apache-2.0
#include "ops/implementation.h"

namespace tutti {
namespace {

// The operator's own cpu().
class PlainKernel final : public Kernel {
 public:
  explicit PlainKernel(const KernelSpec& spec) : op_(spec.op) {
    std::vector<TensorType> types;
    for (const Tensor& t : spec.in) types.push_back({t.dtype, to_shape(t.shape)});
    workspace_ = op_.workspace(types);
  }
  size_t workspace() const override { return workspace_; }
  void run(const KernelArgs& args) override { op_.cpu(args); }

 private:
  Op op_;
  size_t workspace_;
};

}  // namespace

std::pair<std::unique_ptr<Kernel>, std::string_view> prepare_kernel(const KernelSpec& spec,
                                                                    std::string_view name) {
  for (const bool any : {false, true}) {
    if (name == "plain" || (!any && name.empty())) continue;
    for (const Implementation& row : implementations()) {
      if (row.op != spec.op.name() || (!any && row.name != name)) continue;
      if (auto kernel = row.prepare(spec)) return {std::move(kernel), row.name};
    }
  }
  return {std::make_unique<PlainKernel>(spec), "plain"};
}

}  // namespace tutti
