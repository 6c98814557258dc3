// SPDX-License-Identifier: Apache-2.0
#include "import/json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "import/zip_for_tests.h"

namespace tutti {
namespace {

std::unique_ptr<const JsonDocument> parse(std::string_view text) {
  return JsonDocument::parse(std::as_bytes(std::span(text)), "x.json");
}

std::string corrupt(const std::function<void()>& action) { return error_of(Errc::corrupt, action); }

TEST(Json, GivesEveryKindOfValue) {
  const auto document = parse(R"({"s": "a\u00e9\n", "i": -3, "d": 2.5, "t": true, "n": null,
                                  "list": [1, 2], "o": {"k": 0}})");
  const Json root = document->root();
  EXPECT_EQ(root.at("s").as_string(), "a\xc3\xa9\n");
  EXPECT_EQ(root.at("i").as_int(), -3);
  EXPECT_EQ(root.at("i").as_double(), -3.0);
  EXPECT_EQ(root.at("d").as_double(), 2.5);
  EXPECT_TRUE(root.at("t").as_bool());
  EXPECT_EQ(root.at("o").at("k").as_int(), 0);
  EXPECT_TRUE(root.is_object() && root.at("s").is_string() && root.at("i").is_int() &&
              root.at("t").is_bool() && root.at("list").is_array());
  EXPECT_FALSE(root.at("d").is_int());
}

TEST(Json, KeepsWholeNumbersOf64BitsExact) {
  const auto document = parse("[9223372036854775807, -9223372036854775808, 9223372036854775808]");
  std::vector<Json> items;
  for (Json item : document->root().array()) items.push_back(item);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0].as_int(), INT64_MAX);
  EXPECT_EQ(items[1].as_int(), INT64_MIN);
  EXPECT_EQ(corrupt([&] { items[2].as_int(); }), "x.json: [2]: is no whole number of 64 bits");
}

TEST(Json, TreatsNullLikeAnAbsentKey) {
  const auto document = parse(R"({"n": null})");
  EXPECT_FALSE(document->root().find("n"));
  EXPECT_FALSE(document->root().find("none"));
  EXPECT_EQ(corrupt([&] { document->root().at("n"); }), "x.json: has no n");
}

TEST(Json, IteratesInTheOrderOfTheText) {
  const auto document = parse(R"({"b": [3, [4], {}], "a": null, "empty": [], "none": {}})");
  std::string keys;
  for (const auto& [key, value] : document->root().object())
    keys += join(key, value.is_null() ? "=null " : " ");
  EXPECT_EQ(keys, "b a=null empty none ");
  int count = 0;
  for (Json item : document->root().at("b").array()) count += item.is_null() ? 0 : 1;
  for (Json item : document->root().at("empty").array()) count += item.is_null() ? 100 : 100;
  EXPECT_EQ(count, 3);
}

TEST(Json, NamesThePathOfAWrongValue) {
  const auto document = parse(R"({"graph": {"nodes": [{}, {"target": 7}]}})");
  const Json graph = document->root().at("graph");
  auto node = graph.at("nodes").array().begin();
  ++node;
  EXPECT_EQ(corrupt([&] { (*node).at("target").as_string(); }),
            "x.json: graph.nodes[1].target: is no string");
  EXPECT_EQ(corrupt([&] { (*node).at("name"); }), "x.json: graph.nodes[1]: has no name");
  EXPECT_EQ(corrupt([&] { graph.array(); }), "x.json: graph: is no array");
  EXPECT_EQ(corrupt([&] { document->root().at("graph").at("nodes").find("a"); }),
            "x.json: graph.nodes: is no object; one with the key a was expected");
}

TEST(Json, ReadsNonFiniteNumbersFromTextWhereAsked) {
  const auto document = parse(R"(["Infinity", "-Infinity", "NaN", "other"])");
  std::vector<Json> items;
  for (Json item : document->root().array()) items.push_back(item);
  EXPECT_EQ(items[0].as_double(NonFinite::as_text), INFINITY);
  EXPECT_EQ(items[1].as_double(NonFinite::as_text), -INFINITY);
  EXPECT_TRUE(std::isnan(items[2].as_double(NonFinite::as_text)));
  EXPECT_EQ(corrupt([&] { items[3].as_double(NonFinite::as_text); }), "x.json: [3]: is no number");
  EXPECT_EQ(corrupt([&] { items[0].as_double(); }), "x.json: [0]: is no number");
}

TEST(Json, RefusesInvalidText) {
  for (const char* text :
       {"", " ", "{", "[1,]", "{\"a\" 1}", "nul", "[1] 2", "[\"\xff\"]", "[NaN]"})
    EXPECT_NE(corrupt([&] { parse(text); }).find("x.json: is no valid JSON"), std::string::npos)
        << text;
}

TEST(Json, RefusesNestingBeyondItsLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse(nested(JsonDocument::kMaxDepth - 1)));
  EXPECT_NE(corrupt([&] { parse(nested(JsonDocument::kMaxDepth + 1)); }).find("no valid JSON"),
            std::string::npos);
  EXPECT_NE(corrupt([&] { parse(nested(1000000)); }).find("no valid JSON"), std::string::npos);
}

TEST(Json, OutlivesTheTextItWasReadFrom) {
  std::string text = R"({"key": "value"})";
  const auto document = parse(text);
  text.assign(text.size(), 'x');
  EXPECT_EQ(document->root().at("key").as_string(), "value");
}

TEST(Json, WrittenStringsComeBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xc3\xa9";
  std::string text = "[";
  append_json_string(text, all);
  text += "]";
  const auto document = parse(text);
  EXPECT_EQ((*document->root().array().begin()).as_string(), all);
}

}  // namespace
}  // namespace tutti
