#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
#
# The HTML report in a real browser: nothing is fetched or refused, no name becomes markup, and the table of sites sorts.
# shellcheck disable=SC2154 # run --separate-stderr assigns stderr and stderr_lines

load ../helper

setup() {
	needs chromium
	cd "$BATS_TEST_TMPDIR" || return 1
	BOX=$BATS_TEST_TMPDIR/box
}

# browse: out.html in the browser; what it makes of the page into out.dom, what it complains of into out.log
browse() {
	LIMIT=120 bounded chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/chrome" \
		--enable-logging=stderr --virtual-time-budget=5000 --timeout=60000 --dump-dom \
		"file://$PWD/out.html" >out.dom 2>out.log
}

# looked_at: the page came through whole, and the browser had nothing to say of it
looked_at() {
	browse
	grep -q '</html>' out.dom || fail "$(tail -5 out.log)"
	! grep CONSOLE out.log || fail "the console is not empty"
	# as many elements as were written: no name made one, none was lost
	"$PYTHON" - <<-'END'
		import re
		def tags(name):
		    text = open(name, encoding="utf-8").read()
		    text = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.S)
		    found = re.findall(r"<([a-z][a-z0-9]*)", text)
		    return {tag: found.count(tag) for tag in set(found) - {"script", "style"}}
		wrote, has = tags("out.html"), tags("out.dom")
		assert wrote == has, (wrote, has)
		assert open("out.dom", encoding="utf-8").read().count("<script>") == 1
	END
}

@test "browser: no spawn, one, 20, and 100,000" {
	local count
	"$VICTIMS/make_box" empty "$BOX"
	spork report -f html -O out.html "$BOX"
	looked_at
	for count in 1 20 100000; do
		"$VICTIMS/make_box" events $count "$BOX"
		spork report -f html -O out.html "$BOX"
		looked_at
		LIMIT=120 bounded chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/chrome" \
			--window-size=1280,2000 --screenshot=out.png "file://$PWD/out.html" 2>out.log
		assert [ -s out.png ]
	done
}

@test "browser: names that are markup, or do not end" {
	local file
	"$VICTIMS/make_corpus" "$PWD"
	"$VICTIMS/make_box" hostile 20 box/make_box
	for file in markup long_names kinds ones noise circles times make_box; do
		echo "$file"
		spork report -f html -O out.html "box/$file"
		looked_at
	done
}

@test "browser: each column of the table of sites sorts, up and down" {
	"$VICTIMS/make_corpus" "$PWD"
	spork report -f html -O out.html box/symbols
	# The page's own buttons, pressed twice; what the column says then is left in the page.
	cat >>out.html <<-'END'
		<script>
		const result = [];
		const table = document.getElementById('sites');
		[...table.tHead.rows[0].cells].forEach((head, column) => {
		  for (let press = 0; press < 2; press++) {
		    head.firstElementChild.click();
		    result.push({ column, number: head.classList.contains('n'), sort: head.getAttribute('aria-sort'),
		      heads: table.tHead.querySelectorAll('[aria-sort]').length,
		      cells: [...table.tBodies[0].rows].map((row) => head.classList.contains('n') ?
		        Number(row.cells[column].dataset.v) : row.cells[column].textContent) });
		  }
		});
		const output = document.createElement('pre');
		output.id = 'result';
		output.textContent = JSON.stringify(result);
		document.body.append(output);
		</script>
	END
	browse
	"$PYTHON" - <<-'END'
		import html, json, re
		text = open("out.dom", encoding="utf-8").read()
		result = json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', text, re.S).group(1)))
		assert len(result) == 24, len(result)
		seen = {}
		for press in result:
		    cells = press["cells"]
		    assert len(cells) == 512 and press["heads"] == 1
		    assert sorted(map(str, cells)) == sorted(map(str, seen.setdefault(press["column"], cells)))
		    if press["number"]:
		        want = sorted(cells, reverse=press["sort"] == "descending")
		        assert cells == want, press["column"]
		    elif press["column"] != 0: # the order of letters is the language's
		        want = sorted(cells, key=str.lower, reverse=press["sort"] == "descending")
		        assert [c.lower() for c in cells] == [c.lower() for c in want], (press["column"], cells[:5])
		for first, second in zip(result[::2], result[1::2]):
		    assert {first["sort"], second["sort"]} == {"ascending", "descending"}
	END
}
