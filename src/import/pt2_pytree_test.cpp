// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_pytree.h"

#include <gtest/gtest.h>

#include "import/zip_for_tests.h"

namespace tutti::pt2 {
namespace {

constexpr const char* kLeaf = R"({"type": null, "context": null, "children_spec": []})";

std::string node(const std::string& type, const std::string& context,
                 const std::vector<std::string>& children) {
  std::string out = "{\"type\": \"" + type + "\", \"context\": ";
  append_json_string(out, context);
  return out + ", \"children_spec\": [" + join_list(children) + "]}";
}

// The JSON document in which a tree stands as a string, as in model.json.
std::unique_ptr<const JsonDocument> document(const std::string& tree, int version = 1) {
  std::string text = "{\"spec\": ";
  append_json_string(text, join("[", version, ", ", tree, "]"));
  text += R"(, "fields": {"my.Point": {"field_names": ["x", "y"]}}})";
  return JsonDocument::parse(std::as_bytes(std::span(text)), "model.json");
}

std::string paths(const std::string& tree) {
  const auto json = document(tree);
  return join_list(leaf_paths(json->root().at("spec"), json->root().find("fields"), "out"));
}

TEST(Pt2Pytree, ASingleLeafIsTheRoot) { EXPECT_EQ(paths(kLeaf), "out"); }

TEST(Pt2Pytree, JoinsIndicesAndKeys) {
  const std::string inner = node("builtins.dict", R"(["deep"])", {kLeaf});
  const std::string parts = node("builtins.tuple", "null", {kLeaf, inner});
  const std::string dict = node("builtins.dict", R"(["y", "parts"])", {kLeaf, parts});
  EXPECT_EQ(paths(node("builtins.tuple", "null", {dict, kLeaf})),
            "out.0.y, out.0.parts.0, out.0.parts.1.deep, out.1");
  EXPECT_EQ(paths(node("builtins.list", "null", {kLeaf})), "out.0");
  EXPECT_EQ(paths(node("builtins.tuple", "null", {})), "");
}

TEST(Pt2Pytree, TakesKeysOfEveryKindOfDictionary) {
  EXPECT_EQ(paths(node("builtins.dict", "[3, true]", {kLeaf, kLeaf})), "out.3, out.True");
  EXPECT_EQ(
      paths(node("collections.defaultdict",
                 R"({"default_factory_module": "builtins", "dict_context": ["k"]})", {kLeaf})),
      "out.k");
  EXPECT_EQ(paths(node("my.ModelOutput", R"(["logits"])", {kLeaf})), "out.logits");
}

TEST(Pt2Pytree, NamesTheFieldsOfANamedtuple) {
  EXPECT_EQ(paths(node("collections.namedtuple", R"("my.Point")", {kLeaf, kLeaf})), "out.x, out.y");
  EXPECT_EQ(paths(node("collections.namedtuple", R"("my.Other")", {kLeaf, kLeaf})), "out.0, out.1");
}

TEST(Pt2Pytree, NamesArgumentsOfACall) {
  const std::string pair = node("builtins.tuple", "null", {kLeaf, kLeaf});
  const auto json = document(node("builtins.tuple", "null",
                                  {node("builtins.tuple", "null", {kLeaf, pair}),
                                   node("builtins.dict", R"(["scale"])", {kLeaf})}));
  const auto call = [&](const std::vector<std::string_view>& names) {
    return join_list(call_paths(json->root().at("spec"), std::nullopt, names));
  };
  EXPECT_EQ(call({"x", "pair", "scale"}), "x, pair.0, pair.1, scale");
  EXPECT_EQ(call({}), "args.0, args.1.0, args.1.1, scale");
}

TEST(Pt2Pytree, RefusesPathsWithoutEnd) {
  std::string tree = kLeaf;
  for (int i = 0; i < 20; ++i)
    tree = node("builtins.dict", "[\"" + std::string(100, 'k') + "\"]", {tree});
  EXPECT_NE(error_of(Errc::unsupported, [&] { paths(tree); }).find("at most 1000"),
            std::string::npos);
}

TEST(Pt2Pytree, RefusesContradictions) {
  const auto refusal = [](const std::string& tree) {
    return error_of(Errc::corrupt, [&] { paths(tree); });
  };
  EXPECT_EQ(refusal(node("builtins.dict", R"(["a", "b"])", {kLeaf})),
            "model.json: spec: has a container of 1 children with 2 keys");
  EXPECT_NE(
      refusal(node("builtins.dict", "[", {kLeaf})).find("model.json: a pytree: is no valid JSON"),
      std::string::npos);
  EXPECT_NE(refusal("7").find("is no object"), std::string::npos);
  EXPECT_NE(error_of(Errc::unsupported,
                     [] { leaf_paths(document(kLeaf, 2)->root().at("spec"), {}, "out"); })
                .find("is no pytree of version 1"),
            std::string::npos);
}

}  // namespace
}  // namespace tutti::pt2
