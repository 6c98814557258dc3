// SPDX-License-Identifier: Apache-2.0
#include "cli/measure.h"

#include <algorithm>
#include <chrono>
#include <fstream>

#include "cli/gather.h"
#include "cli/plan_tables.h"

namespace tutti::cli {
namespace {

// Most memory that this process has had at once: VmHWM, in KiB.
double peak_of_process() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (double kib = 0; word == "VmHWM:" && status >> kib) return 1024 * kib;
  return 0;
}

Tensor as_tensor(const std::vector<double>& values) {
  Tensor tensor = Tensor::zeros(DType::f64, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.as<double>());
  return tensor;
}

std::vector<double> column(const std::vector<std::vector<double>>& rows, size_t at) {
  std::vector<double> values;
  for (const auto& row : rows) values.push_back(row[at]);
  return values;
}

// The members that are lists, by name.
template <class M, class F>
void each_list(M& m, const F& f) {
  f("times_ms", m.times_ms);
  f("bytes_sent", m.bytes_sent);
  f("flops", m.flops);
  f("session_bytes", m.session_bytes);
  f("weight_bytes", m.weight_bytes);
  f("peak_bytes", m.peak_bytes);
}

}  // namespace

double Measurement::median_ms() const {
  std::vector<double> sorted = times_ms;
  std::sort(sorted.begin(), sorted.end());
  return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

Measurement measure(Session& session, const PlanInfo& plan, const TensorMap& inputs, int count,
                    Communicator& ranks) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> times;
  const uint64_t before = session.bytes_sent();
  for (int i = 0; i < count; ++i) {
    ranks.barrier("a measured run");
    const auto start = Clock::now();
    session.run(inputs);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  const auto sent = static_cast<double>(session.bytes_sent() - before);
  Measurement all;
  for (const auto& own : gather_numbers(ranks, times)) {
    all.times_ms.resize(own.size());
    for (size_t i = 0; i < own.size(); ++i) all.times_ms[i] = std::max(all.times_ms[i], own[i]);
  }
  const auto rows = gather_numbers(
      ranks, {sent / std::max(count, 1), work_of(plan).flops, static_cast<double>(session.bytes()),
              static_cast<double>(plan.weight_bytes), peak_of_process()});
  all.bytes_sent = column(rows, 0);
  all.flops = column(rows, 1);
  all.session_bytes = column(rows, 2);
  all.weight_bytes = column(rows, 3);
  all.peak_bytes = column(rows, 4);
  all.network_flops = plan.network_flops;
  return all;
}

void save_measurement(const std::string& path, const Measurement& measurement) {
  TensorMap tensors = {{"network_flops", as_tensor({measurement.network_flops})}};
  each_list(measurement, [&](const char* name, const std::vector<double>& values) {
    tensors[name] = as_tensor(values);
  });
  save_tensors(path, tensors);
}

Measurement load_measurement(const std::string& path) {
  const TensorMap tensors = load_tensors(path);
  const auto list = [&](const char* name) {
    const Tensor& t = tensors.at(name);
    return std::vector<double>(t.as<double>(), t.as<double>() + t.elements());
  };
  Measurement measurement;
  each_list(measurement,
            [&](const char* name, std::vector<double>& values) { values = list(name); });
  measurement.network_flops = list("network_flops").at(0);
  return measurement;
}

}  // namespace tutti::cli
