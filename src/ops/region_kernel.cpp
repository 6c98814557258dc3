// SPDX-License-Identifier: Apache-2.0
#include "ops/region_kernel.h"

#include "ops/region_program.h"

namespace tutti {
namespace {

constexpr int64_t kTaskWork = 1 << 16;  // elements times instructions worth waking a thread

class RegionKernel final : public Kernel {
 public:
  RegionKernel(Region region, const KernelSpec& spec) : region_(std::move(region)) {
    const RegionLoops& loops = region_loops(cpu::current_isa());
    for (const RegionPart& part : region_.parts) {
      programs_.push_back(std::make_unique<RegionProgram>(part, spec, loops));
      const RegionProgram& program = *programs_.back();
      bytes_ = std::max(bytes_, program.workspace());
      const int64_t wanted = std::min<int64_t>(program.work() / kTaskWork + 1, 4 * spec.threads);
      tasks_.push_back(spec.threads == 1 ? 1 : std::min(program.blocks(), wanted));
    }
    total_tasks_ = std::accumulate(tasks_.begin(), tasks_.end(), int64_t{0});
    threads_ = spec.threads;
  }

  bool supported() const {
    return std::all_of(programs_.begin(), programs_.end(),
                       [](const auto& p) { return p->supported(); });
  }

  size_t workspace() const override { return static_cast<size_t>(bytes_ * threads_); }

  void run(const KernelArgs& args) override {
    if (total_tasks_ == static_cast<int64_t>(programs_.size())) {
      for (const auto& program : programs_)
        program->run(args, static_cast<char*>(args.workspace), 0, program->blocks());
      return;
    }
    args.pool.parallel(total_tasks_, [&](int64_t task, int thread) {
      size_t part = 0;
      for (; task >= tasks_[part]; ++part) task -= tasks_[part];
      const int64_t blocks = programs_[part]->blocks(), tasks = tasks_[part];
      programs_[part]->run(args, static_cast<char*>(args.workspace) + thread * bytes_,
                           blocks * task / tasks, blocks * (task + 1) / tasks);
    });
  }

 private:
  Region region_;  // programs refer to its parts
  std::vector<std::unique_ptr<RegionProgram>> programs_;
  std::vector<int64_t> tasks_;  // by part
  int64_t total_tasks_ = 0, bytes_ = 0;
  int threads_ = 1;
};

}  // namespace

std::unique_ptr<Kernel> prepare_region(const KernelSpec& spec) {
  auto kernel = std::make_unique<RegionKernel>(*spec.op.as<Region>(), spec);
  if (!kernel->supported()) return nullptr;
  return kernel;
}

std::unique_ptr<Kernel> prepare_cast(const KernelSpec& spec) {
  const Tensor& x = spec.in[0];
  const Tensor& y = spec.out[0];
  if (x.elements() == 0) return nullptr;
  RegionPart part{x.shape, 0, {}};
  RegionInstruction load{RegionCode::load, x.dtype};
  load.operand = 0;
  for (int axis = 0; axis < x.rank(); ++axis) {
    RegionIndex& index = load.at.emplace_back();
    index.factors.assign(static_cast<size_t>(x.rank()), 0);
    index.factors[static_cast<size_t>(axis)] = 1;
  }
  RegionInstruction convert{RegionCode::cast, y.dtype};
  convert.a = 0;
  RegionInstruction store = load;
  store.code = RegionCode::store;
  store.dtype = y.dtype;
  store.a = 1;
  part.code = {load, convert, store};
  const Op op = Region{{part}, {{y.dtype, to_shape(y.shape)}}};
  return prepare_region({op, spec.in, spec.out, spec.threads});
}

}  // namespace tutti
