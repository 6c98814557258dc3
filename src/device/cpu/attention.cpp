// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/attention.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "device/cpu/attention_plan.h"
#include "device/cpu/isa.h"
#include "device/cpu/pool.h"

namespace tutti::cpu {

namespace portable {
extern const AttentionKernels kAttention;
}
namespace avx2 {
extern const AttentionKernels kAttention;
}
namespace avx512 {
extern const AttentionKernels kAttention;
}

namespace {

constexpr int64_t kAlign = 16;              // floats; a cache line
constexpr int64_t kPanelFloats = 96 << 10;  // q and o of a task: what leaves room in 1 MiB of L2
constexpr int64_t kMaxPanels = 4;
constexpr int64_t kEnoughTasks = 64;
constexpr double kSplitWork = 1 << 20;  // multiply-adds worth a task of its own
constexpr double kSmallWork = 1 << 17;  // multiply-adds not worth a second thread

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

const AttentionKernels& kernels_of(Isa isa) {
  if constexpr (kIsX86) {
    if (isa == Isa::avx512) return avx512::kAttention;
    if (isa == Isa::avx2) return avx2::kAttention;
  }
  return portable::kAttention;
}

bool is_supported_type(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f64;
}

void check(const AttentionSpec& spec) {
  for (const int64_t size : {spec.b, spec.n, spec.n_kv, spec.s, spec.t, spec.d, spec.dv})
    require_argument(size >= 0, "attention: a size is ", size, ", must be at least 0");
  require_argument(spec.n == 0 || (spec.n_kv > 0 && spec.n % spec.n_kv == 0), "attention: ", spec.n,
                   " heads cannot share ", spec.n_kv, " key/value heads evenly");
  require(is_supported_type(spec.dtype), Errc::unsupported, "attention of ", spec.dtype,
          ": takes f32, bf16, f16 or f64");
  require_argument(std::max(spec.s, spec.t) < INT32_MAX, "attention: ", spec.s, " queries, ",
                   spec.t, " keys: must be below 2^31 - 1");
  if (!spec.mask) return;
  const DType mask = spec.mask->dtype;
  require(mask == DType::boolean ||
              (is_supported_type(mask) && (mask != DType::f64 || spec.dtype == DType::f64)),
          Errc::unsupported, "attention of ", spec.dtype, " with a mask of ", mask,
          ": takes bool, f32, bf16 or f16");
}

/// Rows of a task: as many panels as the cache takes, of even size.
void cut_rows(AttentionPlan& plan) {
  const int64_t lanes = plan.kernels->lanes;
  plan.narrow = plan.rows <= lanes / 2;
  if (plan.narrow) {
    plan.block_rows = plan.rows;
    plan.row_blocks = 1;
    plan.padded_rows = kAlign;
    return;
  }
  const int64_t width = std::max<int64_t>(plan.d_padded + plan.dv_padded, 1);
  const int64_t panel = plan.kernels->panel_lanes;
  const int64_t panels = std::clamp<int64_t>(kPanelFloats / (width * panel), 1, kMaxPanels);
  const int64_t vectors = divide_up(plan.rows, lanes);
  plan.row_blocks = divide_up(vectors, panels * panel / lanes);
  plan.block_rows = divide_up(vectors, plan.row_blocks) * lanes;
  plan.row_blocks = divide_up(plan.rows, plan.block_rows);
  plan.padded_rows = round_up(plan.block_rows, kAlign);
}

/// Splits keys when there are too few blocks of rows to go round.
void cut_keys(AttentionPlan& plan) {
  const AttentionSpec& spec = plan.spec;
  // A narrow task waits for memory: a key costs as much as for a few rows.
  const double rows = plan.narrow ? 16.0 : static_cast<double>(plan.block_rows);
  const double key_work = rows * static_cast<double>(spec.d + spec.dv + 1);
  const int64_t least =
      std::max<int64_t>(4 * kAttentionKeys, static_cast<int64_t>(std::ceil(kSplitWork / key_work)));
  const int64_t wanted = plan.blocks() == 0 ? 1 : divide_up(kEnoughTasks, plan.blocks());
  const int64_t keys =
      std::clamp<int64_t>(plan.end - plan.first + (plan.block_rows - 1) / plan.group, 0, spec.t);
  const int64_t splits = std::clamp<int64_t>(keys / least, 1, wanted);
  plan.split_keys = std::max(round_up(divide_up(keys, splits), kAttentionKeys), kAttentionKeys);
  plan.splits = std::max<int64_t>(divide_up(keys, plan.split_keys), 1);
}

void lay_out(AttentionPlan& plan) {
  AttentionSpace& space = plan.space;
  const int64_t lanes = plan.kernels->lanes;
  const int64_t panel = plan.narrow ? plan.padded_rows : plan.kernels->panel_lanes;
  const auto take = [&space](int64_t floats) {
    const int64_t at = space.floats;
    space.floats += round_up(floats, kAlign);
    return at;
  };
  space.q = take(plan.padded_rows * plan.d_padded);
  space.o = take(plan.padded_rows * plan.dv_padded);
  space.max = take(plan.padded_rows);
  space.sum = take(plan.padded_rows);
  space.begin = take(plan.padded_rows);
  space.end = take(plan.padded_rows);
  space.scores = take(kAttentionKeys * panel);
  space.mask = take(kAttentionKeys * panel);
  space.lines = take(lanes * std::max({plan.d_padded, plan.dv_padded, kAttentionKeys}));
  space.k = take(kAttentionKeys * plan.d_padded);
  space.v = take(kAttentionKeys * plan.dv_padded);
  if (plan.splits > 1)
    plan.partial_floats = round_up(plan.padded_rows * (plan.dv_padded + 2), kAlign);
}

void lay_out_f64(AttentionPlan& plan) {
  plan.block_rows = 16;
  plan.row_blocks = divide_up(plan.rows, plan.block_rows);
  plan.space.floats = round_up(2 * (kAttentionKeys + plan.spec.dv), kAlign);
}

AttentionPlan make_plan(const AttentionSpec& spec) {
  check(spec);
  AttentionPlan plan;
  plan.spec = spec;
  plan.masked = spec.mask.has_value();
  if (spec.mask) plan.mask = *spec.mask;
  if (spec.n == 0) plan.spec.n_kv = 0;
  plan.group = spec.n == 0 ? 1 : spec.n / spec.n_kv;
  plan.rows = plan.group * spec.s;
  // Bounds that no query of s reaches stand for those that are absent.
  plan.first = std::clamp(spec.band.first(), -spec.s, spec.t);
  plan.end = std::clamp(spec.band.end(), -spec.s, spec.t);
  const int64_t seen = std::clamp<int64_t>(plan.end - plan.first, 0, spec.t);
  plan.small = static_cast<double>(spec.b * spec.n * spec.s) * static_cast<double>(seen) *
                   static_cast<double>(spec.d + spec.dv) <
               kSmallWork;
  if (plan.rows == 0) {
    plan.spec.b = 0;
    return plan;
  }
  if (spec.dtype == DType::f64) {
    lay_out_f64(plan);
    return plan;
  }
  plan.kernels = &kernels_of(current_isa());
  plan.d_padded = round_up(spec.d, plan.kernels->lanes);
  plan.dv_padded = round_up(spec.dv, plan.kernels->lanes);
  cut_rows(plan);
  cut_keys(plan);
  lay_out(plan);
  return plan;
}

template <class Body>
void for_tasks(const AttentionPlan& plan, int64_t tasks, Pool& pool, const Body& body) {
  if (!plan.small) return pool.parallel(tasks, body);
  for (int64_t task = 0; task < tasks; ++task) body(task, 0);
}

}  // namespace

Attention::Attention(const AttentionSpec& spec)
    : plan_(std::make_unique<AttentionPlan>(make_plan(spec))) {}
Attention::~Attention() = default;
Attention::Attention(Attention&&) noexcept = default;
Attention& Attention::operator=(Attention&&) noexcept = default;

const AttentionSpec& Attention::spec() const { return plan_->spec; }

size_t Attention::workspace_bytes(int threads) const {
  const int64_t partials = plan_->splits > 1 ? plan_->tasks() * plan_->partial_floats : 0;
  const int64_t floats = threads * plan_->space.floats + partials + kAlign;
  return static_cast<size_t>(floats) * sizeof(float);
}

void Attention::execute(const AttentionArgs& args, void* workspace, Pool& pool) const {
  const AttentionPlan& plan = *plan_;
  constexpr uintptr_t kBytes = kAlign * sizeof(float);
  const uintptr_t start = (reinterpret_cast<uintptr_t>(workspace) + kBytes - 1) / kBytes * kBytes;
  float* const spaces = reinterpret_cast<float*>(start);
  const auto space = [&](int thread) { return spaces + thread * plan.space.floats; };
  if (!plan.kernels) {
    for_tasks(plan, plan.tasks(), pool, [&](int64_t task, int thread) {
      attend_f64(plan, args, task, reinterpret_cast<double*>(space(thread)));
    });
    return;
  }
  float* const partials = plan.splits > 1 ? space(pool.threads()) : nullptr;
  const auto run = plan.narrow ? plan.kernels->narrow : plan.kernels->wide;
  for_tasks(plan, plan.tasks(), pool,
            [&](int64_t task, int thread) { run(plan, args, task, space(thread), partials); });
  if (plan.splits == 1) return;
  for_tasks(plan, plan.blocks(), pool, [&](int64_t block, int thread) {
    plan.kernels->merge(plan, args, block, space(thread), partials);
  });
}

}  // namespace tutti::cpu
