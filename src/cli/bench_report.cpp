// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_report.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "cli/arguments.h"
#include "cli/svg.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

double largest(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

// What a rank holds while it runs.
double memory_of(const Measurement& m) {
  double most = 0;
  for (size_t r = 0; r < m.session_bytes.size(); ++r)
    most = std::max(most, m.session_bytes[r] + m.weight_bytes[r]);
  return most;
}

// The time of one rank alone; 0 when that was not measured.
double alone_ms(const std::vector<BenchResult>& results) {
  for (const BenchResult& result : results)
    if (result.ranks == 1 && result.measured) return result.measured->median_ms();
  return 0;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  return out + "\"";
}

std::string list(const std::vector<double>& values) {
  std::string out = "[";
  char text[40];
  for (const double value : values) {
    std::snprintf(text, sizeof text, "%s%.17g", out.size() > 1 ? ", " : "", value);
    out += text;
  }
  return out + "]";
}

// "cp:ring", "tp+cp:ring (tp=2,cp=4)"
std::string words_of(const MeshChoice& way) {
  const bool several = way.mesh.find(',') != std::string::npos;
  return way.name + (several ? " (" + way.mesh + ")" : "");
}

// The start of an object.
std::string strategy_json(int ranks, const MeshChoice& way) {
  return "{\"ranks\": " + std::to_string(ranks) + ", \"strategy\": " + quoted(way.name) +
         ", \"mesh\": " + quoted(way.mesh) + ", \"context\": " + quoted(way.context);
}

// A number of a result, by strategy and number of ranks; of the fastest where meshes have one name.
template <class F>
Chart chart_of(const std::vector<BenchResult>& results, const F& number) {
  Chart chart;
  chart.x_label = "ranks";
  std::set<int> ranks;
  for (const BenchResult& result : results) ranks.insert(result.ranks);
  for (const int n : ranks) chart.places.push_back(std::to_string(n));
  std::optional<double> alone;
  std::map<std::pair<int, std::string>, double> least;  // time, by ranks and strategy
  for (const BenchResult& result : results) {
    if (!result.measured || !result.splits()) continue;
    const double value = number(*result.measured);
    if (result.ranks == 1) {
      alone = value;
      continue;
    }
    const double ms = result.measured->median_ms();
    const auto [fastest, first] = least.emplace(std::pair(result.ranks, result.strategy.name), ms);
    if (!first && ms >= fastest->second) continue;
    fastest->second = ms;
    const auto place = static_cast<size_t>(std::distance(ranks.begin(), ranks.find(result.ranks)));
    auto own = std::find_if(chart.series.begin(), chart.series.end(),
                            [&](const Series& s) { return s.name == result.strategy.name; });
    if (own == chart.series.end()) {
      own = chart.series.insert(own, {result.strategy.name, {}, false});
      own->values.resize(ranks.size());
    }
    own->values[place] = value;
  }
  // Every line starts at one rank.
  if (ranks.contains(1))
    for (Series& series : chart.series) series.values[0] = alone;
  if (chart.series.empty()) chart.series.push_back({"one rank", {alone}, false});
  return chart;
}

void write(const std::string& path, const Chart& chart) {
  std::ofstream file(path);
  file << svg(chart);
  file.close();
  if (!file) throw UsageError(path + ": cannot be written");
}

}  // namespace

bool BenchResult::splits() const {
  return ranks == 1 || (measured && largest(measured->flops) < 0.999 * measured->network_flops);
}

Choice choice_among(const std::vector<BenchResult>& results, int ranks, const MeshChoice& taken) {
  Choice choice{ranks, taken, taken, std::nullopt};
  double least = 0, own = 0;
  for (const BenchResult& result : results) {
    if (result.ranks != ranks || !result.measured) continue;
    const double ms = result.measured->median_ms();
    if (result.strategy.mesh == taken.mesh && result.strategy.context == taken.context) own = ms;
    if (least != 0 && ms >= least) continue;
    least = ms;
    choice.best = result.strategy;
  }
  if (own != 0) choice.of_best = own / least;
  return choice;
}

std::string bench_table(const std::vector<BenchResult>& results,
                        const std::vector<Choice>& choices) {
  std::vector<std::vector<std::string>> rows = {
      {"ranks", "strategy", "mesh", "judged ms", "median ms", "speed-up", "largest share",
       "bytes sent by a rank", "memory of a rank", "peak of a process"}};
  const double alone = alone_ms(results);
  for (const BenchResult& result : results) {
    const MeshChoice& way = result.strategy;
    std::vector<std::string> row = {std::to_string(result.ranks), way.name,
                                    way.mesh.empty() ? "-" : way.mesh,
                                    number_text(1e3 * way.seconds)};
    if (!result.measured) {
      row.resize(rows[0].size(), "failed");
      rows.push_back(row);
      continue;
    }
    const Measurement& m = *result.measured;
    row.push_back(number_text(m.median_ms()));
    row.push_back(alone > 0 ? number_text(alone / m.median_ms()) : "-");
    row.push_back(result.splits() ? number_text(100 * largest(m.flops) / m.network_flops) + "%"
                                  : "splits nothing");
    row.push_back(std::to_string(static_cast<uint64_t>(largest(m.bytes_sent))));
    row.push_back(bytes_text(static_cast<size_t>(memory_of(m))));
    row.push_back(bytes_text(static_cast<size_t>(largest(m.peak_bytes))));
    rows.push_back(row);
  }
  std::string text = table(rows);
  for (const Choice& c : choices)
    text += std::to_string(c.ranks) + " ranks: auto takes " + words_of(c.taken) +
            (c.of_best ? ", " + number_text(*c.of_best) + " of the least time, that of " +
                             words_of(c.best)
                       : ", which was not measured") +
            "\n";
  return text;
}

std::string bench_json(const std::string& model, const std::vector<BenchResult>& results,
                       const std::vector<Choice>& choices) {
  std::string out = "{\"model\": " + quoted(model) + ", \"results\": [\n";
  for (size_t i = 0; i < results.size(); ++i) {
    out += strategy_json(results[i].ranks, results[i].strategy) +
           ", \"judged_ms\": " + number_text(1e3 * results[i].strategy.seconds);
    if (const auto& m = results[i].measured)
      out += ", \"median_ms\": " + number_text(m->median_ms()) +
             ", \"times_ms\": " + list(m->times_ms) + ", \"flops\": " + list(m->flops) +
             ", \"network_flops\": " +
             list({m->network_flops}).substr(1, list({m->network_flops}).size() - 2) +
             ", \"bytes_sent\": " + list(m->bytes_sent) +
             ", \"session_bytes\": " + list(m->session_bytes) +
             ", \"weight_bytes\": " + list(m->weight_bytes) +
             ", \"peak_bytes\": " + list(m->peak_bytes);
    else
      out += ", \"failed\": true";
    out += i + 1 < results.size() ? "},\n" : "}\n";
  }
  out += "], \"auto\": [\n";
  for (size_t i = 0; i < choices.size(); ++i)
    out += strategy_json(choices[i].ranks, choices[i].taken) +
           (choices[i].of_best ? ", \"of_best\": " + number_text(*choices[i].of_best) : "") +
           (i + 1 < choices.size() ? "},\n" : "}\n");
  return out + "]}\n";
}

void write_charts(const std::string& folder, const std::string& model,
                  const std::vector<BenchResult>& results) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const auto finish = [&](Chart chart, const char* title, const char* y, const char* name) {
    chart.title = model + ": " + title;
    chart.y_label = y;
    write(folder + "/" + name, chart);
  };
  finish(chart_of(results, [](const Measurement& m) { return m.median_ms(); }), "time of a run",
         "median, ms", "latency.svg");
  const double alone = alone_ms(results);
  if (alone > 0) {
    Chart chart = chart_of(results, [&](const Measurement& m) { return alone / m.median_ms(); });
    finish(std::move(chart), "speed-up", "times as fast as one rank", "speedup.svg");
  }
  finish(chart_of(results, [](const Measurement& m) { return largest(m.bytes_sent) / 1024; }),
         "sent in a run", "KiB by the rank that sends most", "bytes.svg");
  finish(chart_of(results, [](const Measurement& m) { return memory_of(m) / (1 << 20); }),
         "weights, activations and state", "MiB of the rank that has most", "memory.svg");
}

}  // namespace tutti::cli
