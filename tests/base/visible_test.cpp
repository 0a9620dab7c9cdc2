#include "base/visible.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Visible, ControlsAreShownAndTextStays) {
  EXPECT_EQ(visible("\x1b]0;title\a"), "\\x1b]0;title\\x07");
  EXPECT_EQ(visible("over\rwritten\b\x7f"), "over\\x0dwritten\\x08\\x7f");
  EXPECT_EQ(visible(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(visible("two\nlines\tand a tab"), "two\nlines\tand a tab");
  EXPECT_EQ(visible("Grüße, 世界 🎉 ¡\u00a0!"), "Grüße, 世界 🎉 ¡\u00a0!");
}

TEST(Visible, C1InUtf8AndAsBytes) {
  EXPECT_EQ(visible("\u009b31m red"), "\\x9b31m red");
  EXPECT_EQ(visible("\x9b"
                    "31m red"),
            "\\x9b31m red");
  EXPECT_EQ(visible("ab\xe4\x9b"), "ab\xe4\x9b");  // a character that was cut off
  EXPECT_EQ(visible("\xe4\xb8\x96\x9b"), "\xe4\xb8\x96\\x9b");
  EXPECT_EQ(visible("世\xc2\x9b"), "世\\x9b");
  EXPECT_EQ(visible("\u6bdb"), "\u6bdb");  // E6 AF 9B
  EXPECT_EQ(visible("\u109b"), "\u109b");  // E1 82 9B
}

TEST(Visible, TextKeepsItsOrder) {
  EXPECT_EQ(visible("if \u202eadmin\u2066\u2069"), "if \\u202eadmin\\u2066\\u2069");
  EXPECT_EQ(visible("שלום\u200f \u2026\u203a\u2070"), "שלום\u200f \u2026\u203a\u2070");
  EXPECT_EQ(visible("\xe2\x80"), "\xe2\x80");
}

TEST(Visible, ALineStaysOne) { EXPECT_EQ(visible_line("name\n\x1b\tx"), "name\\n\\x1b\\tx"); }

}  // namespace
}  // namespace retort
