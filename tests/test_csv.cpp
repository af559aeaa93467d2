// The CSV reader: RFC 4180, the liberties it takes, and what it refuses.
#include <doctest/doctest.h>

#include "data/csv.h"
#include "engine/random.h"
#include "tests/data_files.h"
#include "tests/temporary_folder.h"

using namespace etude;
using namespace etude::data;
using etude::testing::contains;
using etude::testing::message;

TEST_SUITE("data.csv") {
  TEST_CASE("columns are found by trimmed name, never by position") {
    const Csv csv = Csv::parse(" song_id , valence_mean,arousal_mean\r\n   2 ,  3.1 ,4\r\n", "t");
    CHECK(csv.header() == std::vector<std::string>{"song_id", "valence_mean", "arousal_mean"});
    REQUIRE(csv.rows() == 1);
    CHECK(csv.integer(0, csv.column("song_id")) == 2);
    CHECK(csv.number(0, csv.column("valence_mean")) == 3.1);
    CHECK(csv.number(0, csv.column("Arousal_Mean")) == 4);
    CHECK(csv.find("nothing") == -1);
    CHECK(message([&] { csv.column("valence"); }) ==
          "t: no column \"valence\"; the header has: song_id, valence_mean, arousal_mean");
  }

  TEST_CASE("a name that only differs in case twice is no match") {
    const Csv csv = Csv::parse("ID,id\n1,2\n", "t");
    CHECK(csv.column("id") == 1);
    CHECK(csv.column("ID") == 0);
    CHECK(csv.find("Id") == -1);
  }

  TEST_CASE("quotes: commas, line breaks, doubled quotes, blanks around them") {
    const Csv csv = Csv::parse(
        "id,title,artist\n"
        "1,\"Blood, Sweat & 3 Years\",x\n"
        "2, \"From \"\"Beauty\"\"\" ,\" kept \"\n"
        "3,\"two\r\nlines\",y\n"
        "4,a \"b\" c,\n",
        "t");
    REQUIRE(csv.rows() == 4);
    CHECK(csv.text(0, 1) == "Blood, Sweat & 3 Years");
    CHECK(csv.text(1, 1) == "From \"Beauty\"");
    CHECK(csv.text(1, 2) == " kept ");
    CHECK(csv.text(2, 1) == "two\r\nlines");
    CHECK(csv.text(3, 1) == "a \"b\" c");
    CHECK(csv.text(3, 2).empty());
    CHECK(csv.where(2) == "t:4");
    CHECK(csv.where(3) == "t:6");  // the quoted line break counts
  }

  TEST_CASE("byte order mark, CR line ends, blank lines, no line end at the end") {
    for (const std::string text : {"\xEF\xBB\xBF"
                                   "a,b\n1,2\n\n3,4",
                                   "a,b\r1,2\r\r3,4\r", "\n\na,b\r\n1,2\r\n \r\n3,4\r\n"}) {
      const Csv csv = Csv::parse(text, "t");
      REQUIRE(csv.rows() == 2);
      CHECK(csv.number(1, csv.column("b")) == 4);
    }
  }

  TEST_CASE("a row of another length is an Error unless it was asked for") {
    CHECK(message([] { Csv::parse("a,b,c\n1,2,3\n4,5\n", "f.csv"); }) ==
          "f.csv:3: row has 2 fields, the header has 3 (a, b, c)");
    CHECK(contains(message([] { Csv::parse("a,b\n1,2,3\n", "f.csv"); }), "f.csv:2: row has 3"));
    // A comma at the end of a line is no field that matters.
    CHECK(Csv::parse("a,b\n1,2,\n", "t").row(0).size() == 2);

    const Csv ragged = Csv::parse("a,b,c\n1\n1,2,3,4\n", "t", {.ragged = true});
    CHECK(ragged.text(0, 2).empty());
    CHECK(ragged.row(1).size() == 4);
  }

  TEST_CASE("numbers: what is none names file, line and column") {
    const Csv csv = Csv::parse("a,b\n1,x\n,nan\n1.5,2 3\n1e400,0x10\n", "f.csv");
    CHECK(message([&] { csv.number(0, 1); }) ==
          "f.csv:2: column \"b\" holds \"x\"; expected a number");
    for (const auto& [row, column] : {std::pair{1, 0}, {1, 1}, {2, 1}, {3, 0}, {3, 1}})
      CHECK(contains(message([&, row = row, column = column] { csv.number(row, column); }),
                     "expected a number"));
    CHECK(contains(message([&] { csv.integer(2, 0); }), "expected a whole number"));
  }

  TEST_CASE("what is no CSV text") {
    CHECK(contains(message([] { Csv::parse("", "f"); }), "f: the file is empty"));
    CHECK(contains(message([] { Csv::parse("\n \n", "f"); }), "empty"));
    CHECK(contains(message([] { Csv::parse(std::string("a\0b", 3), "f"); }), "zero bytes"));
    CHECK(contains(message([] {
                     Csv::parse(
                         "\xFF\xFE"
                         "a",
                         "f");
                   }),
                   "UTF-16"));
    CHECK(contains(message([] { Csv::parse("a,b\n1,\"2\n3", "f"); }), "f:2: a quoted field"));
    CHECK(contains(message([] { Csv::parse("a,b\n\"1\"2,3\n", "f"); }), "f:2: text after"));
    CHECK(contains(message([] { Csv::parse("a;b\n", "f").column("a"); }), "separated by commas"));
    CHECK(contains(message([] { Csv::read("/nowhere/f.csv"); }), "/nowhere/f.csv: no such file"));
  }

  TEST_CASE("csv_field() is read back, whatever the text") {
    Generator random(1);
    const std::string alphabet = "ab,\"\n\r \t;x";
    for (int round = 0; round < 2000; ++round) {
      std::string text;
      for (Index n = random.below(8); n > 0; --n)
        text += alphabet[static_cast<std::size_t>(random.below(Index(alphabet.size())))];
      const Csv csv = Csv::parse("a,b\n" + csv_field(text) + ",1\n", "t");
      REQUIRE(csv.rows() == 1);
      CHECK(csv.text(0, 0) == text);
    }
  }

  TEST_CASE("any bytes give a table or an Error") {
    Generator random(2);
    const std::string alphabet = "a1,\"\n\r \0\xFF\xEF\xBB\xBF.-";
    int parsed = 0, refused = 0;
    for (int round = 0; round < 5000; ++round) {
      std::string text;
      for (Index n = random.below(40); n > 0; --n)
        text += alphabet[static_cast<std::size_t>(random.below(Index(alphabet.size())))];
      try {
        const Csv csv = Csv::parse(text, "t", {.ragged = random.below(2) == 1});
        for (int row = 0; row < csv.rows(); ++row) csv.text(row, 1000);
        ++parsed;
      } catch (const Error&) {
        ++refused;
      }
    }
    CHECK(parsed > 100);
    CHECK(refused > 100);
  }
}
