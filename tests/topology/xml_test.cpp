#include "topology/xml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti {
namespace {

using ::testing::HasSubstr;

TEST(Xml, ReadsElementsAttributesAndText) {
  const auto document = parse_xml(
      "<?xml version='1.0'?>\n<!-- <b> -->\n<a x=\"1 &lt; &#50;\" y = 'q\"q'>\n  one <b/><b z=\"\"></b> two&amp;\n</a>\n");
  ASSERT_TRUE(document) << document.error().to_string();
  const XmlElement& root = document->root();
  EXPECT_EQ(root.name, "a");
  EXPECT_EQ(root.line, 3);
  ASSERT_NE(root.find("x"), nullptr);
  EXPECT_EQ(*root.find("x"), "1 < 2");
  EXPECT_EQ(*root.find("y"), "q\"q");
  EXPECT_EQ(root.find("z"), nullptr);
  EXPECT_EQ(root.children.size(), 2u);
  EXPECT_THAT(root.text, HasSubstr("one"));
  EXPECT_THAT(root.text, HasSubstr("two&"));
}

struct Bad {
  std::string text;
  const char* reason;
};
class XmlRefuses : public ::testing::TestWithParam<Bad> {};

TEST_P(XmlRefuses, AndNamesTheLine) {
  const auto document = parse_xml(GetParam().text);
  ASSERT_FALSE(document) << GetParam().text.substr(0, 200);
  EXPECT_EQ(document.error().code(), Code::protocol);
  EXPECT_THAT(document.error().to_string(), HasSubstr(GetParam().reason));
  EXPECT_THAT(document.error().to_string(), HasSubstr("line "));
}

std::string nested(int depth) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += "<a>";
  for (int i = 0; i < depth; ++i) text += "</a>";
  return text;
}

std::string attributes(int count) {
  std::string text = "<a";
  for (int i = 0; i < count; ++i) text += " a" + std::to_string(i) + "=\"\"";
  return text + "/>";
}

INSTANTIATE_TEST_SUITE_P(Texts, XmlRefuses,
                         ::testing::Values(Bad{"", "no element"}, Bad{"<a>", "ends inside <a>"}, Bad{"<a></b>", "</a> is due"},
                                           Bad{"</a>", "closes nothing"}, Bad{"<a/><b/>", "second root"}, Bad{"hello", "outside"},
                                           Bad{"<a x>", "no value"}, Bad{"<a x=1>", "not quoted"},
                                           Bad{"<a x=\"1>", "does not end"}, Bad{"<a x=\"1\" x=\"2\"/>", "twice"},
                                           Bad{"<a x=\"<\"/>", "'<' in the value"}, Bad{"<a>&nope;</a>", "entity"},
                                           Bad{"<a>&", "entity"}, Bad{"<a", "ends inside the tag"}, Bad{"<", "without a name"},
                                           Bad{"<!-- ", "comment"}, Bad{"<? ", "instruction"},
                                           Bad{"<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", "declarations"},
                                           Bad{"<a><!DOCTYPE a></a>", "not read"}, Bad{std::string("<a\0/>", 5), "zero byte"},
                                           Bad{nested(65), "deep"}, Bad{attributes(65), "attributes"},
                                           Bad{"<" + std::string(1000, 'a') + "/>", "too long"}, Bad{"<a>\n\n</b>", "line 3"}));

TEST(Xml, DepthUpToTheLimitIsRead) { EXPECT_TRUE(parse_xml(nested(64))); }

}  // namespace
}  // namespace tutti
