// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/error.h"
#include "import/json.h"
#include "tutti/session.h"

namespace tutti {
namespace {

Profile profile_of(const std::string& scope) {
  StepTime product{{"matmul", "own", scope, "f32[2] -> f32[2]"}, 1, 2};
  product.flops = 80;
  StepTime sum{{"all_reduce", "ranks", "", "f32[2] -> f32[2]"}, 4, 0.5, 1};
  sum.ranks = {1, 3};
  sum.bytes_sent = 96;
  return {{}, {product, sum}};
}

std::unique_ptr<const JsonDocument> parsed(const std::string& text) {
  return JsonDocument::parse(std::as_bytes(std::span(text)), "trace");
}

std::vector<Json> events_of(const JsonDocument& document) {
  std::vector<Json> events;
  for (const Json event : document.root().at("traceEvents").array()) events.push_back(event);
  return events;
}

TEST(Trace, SaysWhatStepsDidAndWaitedFor) {
  const std::string text = chrome_trace(profile_of("a\"b\n"), 3);
  const auto document = parsed(text);
  const std::vector<Json> events = events_of(*document);
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events.at(0).at("args").at("name").as_string(), "rank 3");
  EXPECT_EQ(events.at(1).at("name").as_string(), "matmul a\"b\n");
  EXPECT_EQ(events.at(1).at("ts").as_double(), 1000);
  EXPECT_EQ(events.at(1).at("dur").as_double(), 2000);
  EXPECT_EQ(events.at(1).at("args").at("flops").as_double(), 80);
  EXPECT_EQ(events.at(2).at("cat").as_string(), "wait");
  EXPECT_EQ(events.at(2).at("ts").as_double(), 3000);
  EXPECT_EQ(events.at(2).at("dur").as_double(), 1000);
  EXPECT_EQ(events.at(3).at("args").at("bytes_sent").as_int(), 96);
  EXPECT_EQ((*events.at(3).at("args").at("ranks").array().begin()).as_int(), 1);
  for (const Json& event : events) EXPECT_EQ(event.at("pid").as_int(), 3);
}

TEST(Trace, OfRanksIsOne) {
  const std::string text =
      join_traces({chrome_trace(profile_of("x"), 0), chrome_trace({}, 1), chrome_trace({}, 2)});
  const auto document = parsed(text);
  const std::vector<Json> events = events_of(*document);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events.at(4).at("pid").as_int(), 1);
  EXPECT_EQ(events.at(5).at("pid").as_int(), 2);
  EXPECT_THROW(join_traces({"{}"}), Error);
}

}  // namespace
}  // namespace tutti
