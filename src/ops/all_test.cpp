// SPDX-License-Identifier: Apache-2.0
#include "ops/all.h"

#include <set>

#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

TEST(AllOps, HaveNamesOfTheirOwnAndSayWhatTheyDo) {
  std::set<std::string_view> names;
  for (const OpDef& def : all_ops()) {
    EXPECT_TRUE(names.insert(def.name).second) << def.name;
    EXPECT_FALSE(def.doc.empty()) << def.name;
    for (const auto& [name, doc] : def.fields) EXPECT_FALSE(doc.empty()) << def.name << name;
  }
}

TEST(AllOps, AreReadBackFromTheirNamesAndAttributes) {
  for (const OpDef& def : all_ops()) {
    const Op op = make_op(def.name, {});
    EXPECT_EQ(op.name(), def.name);
    EXPECT_EQ(make_op(def.name, op.attributes()), op);
    EXPECT_EQ(op.attributes().size(), def.fields.size());
  }
}

TEST(AllOps, RefuseAnUnknownNameAndSayTheNearest) {
  expect_error([] { make_op("permut", {}); }, {"permut", "permute"});
  expect_error([] { make_op("permute", {{"axis", "[0]"}}); }, {"permute", "axis"});
  expect_error([] { make_op("permute", {{"axes", "zero"}}); }, {"permute", "axes", "zero"});
}

}  // namespace
}  // namespace tutti
