package env

import "strings"

// parsePlain parses a script of the simple kind; false means that it is of another kind.
func parsePlain(text []byte) (plainScript, bool) {
	p := plainParser{text: string(text)}
	if strings.ContainsRune(p.text, 0) || strings.Contains(p.text, "\r") {
		return nil, false
	}
	script, end, ok := p.list(0)
	return script, ok && end == ""
}

// maxPlainDepth bounds how deep conditions and parameters may nest.
const maxPlainDepth = 20

// A plainParser reads a script from left to right. Every method that returns ok false
// has met something that is not simple.
type plainParser struct {
	text string
	pos  int
}

// blanks skips spaces, tabs and, with lines, line ends and comments.
func (p *plainParser) blanks(lines bool) {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == ' ' || c == '\t':
			p.pos++
		case lines && c == '\n':
			p.pos++
		case lines && c == '#':
			end := strings.IndexByte(p.text[p.pos:], '\n')
			if end < 0 {
				p.pos = len(p.text)
				return
			}
			p.pos += end
		default:
			return
		}
	}
}

// keyword reads up to the next space, line end or semicolon without moving.
func (p *plainParser) keyword() string {
	end := p.pos
	for end < len(p.text) && strings.IndexByte(" \t\n;", p.text[end]) < 0 {
		end++
	}
	return p.text[p.pos:end]
}

// list reads commands up to the end of the text or one of then, elif, else, fi, which it
// returns and passes.
func (p *plainParser) list(depth int) (script plainScript, end string, ok bool) {
	if depth > maxPlainDepth {
		return nil, "", false
	}
	for {
		p.blanks(true)
		if p.pos == len(p.text) {
			return script, "", true
		}
		switch word := p.keyword(); word {
		case "then", "elif", "else", "fi":
			p.pos += len(word)
			return script, word, true
		}
		node, ok := p.command(depth)
		if !ok || !p.terminator() {
			return nil, "", false
		}
		script = append(script, node)
	}
}

// terminator passes the end of a command: a line end, one semicolon, a comment.
func (p *plainParser) terminator() bool {
	p.blanks(false)
	if p.pos == len(p.text) {
		return true
	}
	switch p.text[p.pos] {
	case '\n':
		return true
	case ';':
		p.pos++
		return p.pos == len(p.text) || p.text[p.pos] != ';'
	case '#':
		return p.pos > 0 && (p.text[p.pos-1] == ' ' || p.text[p.pos-1] == '\t')
	}
	return false
}

// command reads one command.
func (p *plainParser) command(depth int) (plainNode, bool) {
	word := p.keyword()
	switch word {
	case "":
		return plainNode{}, false // a semicolon that ends nothing
	case "if":
		p.pos += len(word)
		return p.condition(depth)
	case "export":
		p.pos += len(word)
		p.blanks(false)
		node := plainNode{exports: true}
		ok := p.assigns(&node)
		return node, ok && len(node.assigns) > 0
	}
	if name, _, found := strings.Cut(word, "="); found && identifier(name) {
		var node plainNode
		return node, p.assigns(&node)
	}
	return plainNode{opaque: true}, p.skip(word)
}

// condition reads an if after its keyword.
func (p *plainParser) condition(depth int) (plainNode, bool) {
	test, ok := p.test()
	if !ok || !p.terminator() {
		return plainNode{}, false
	}
	p.blanks(true)
	if p.keyword() != "then" {
		return plainNode{}, false
	}
	p.pos += len("then")
	node := plainNode{test: test}
	var end string
	if node.then, end, ok = p.list(depth + 1); !ok || len(node.then) == 0 {
		return plainNode{}, false
	}
	switch end {
	case "fi":
		return node, true
	case "else":
		if node.rest, end, ok = p.list(depth + 1); !ok || len(node.rest) == 0 {
			return plainNode{}, false
		}
		return node, end == "fi"
	case "elif":
		rest, ok := p.condition(depth + 1)
		node.rest = plainScript{rest}
		return node, ok && depth < maxPlainDepth
	}
	return plainNode{}, false
}

// test reads a condition: test … or [ … ].
func (p *plainParser) test() (*plainTest, bool) {
	p.blanks(false)
	kind := p.keyword()
	if kind != "test" && kind != "[" {
		return nil, false
	}
	p.pos += len(kind)
	p.blanks(false)
	t := &plainTest{}
	var ok bool
	switch op := p.keyword(); op {
	case "-n", "-z", "-d", "-e", "-f":
		t.op = op
		p.pos += len(op)
		p.blanks(false)
		if t.a, ok = p.quoted(); !ok {
			return nil, false
		}
	default:
		if t.a, ok = p.quoted(); !ok {
			return nil, false
		}
		p.blanks(false)
		t.op = p.keyword()
		if t.op != "=" && t.op != "!=" {
			return nil, false
		}
		p.pos += len(t.op)
		p.blanks(false)
		if t.b, ok = p.quoted(); !ok {
			return nil, false
		}
	}
	p.blanks(false)
	if kind == "test" {
		return t, true
	}
	ok = strings.HasPrefix(p.text[p.pos:], "]")
	p.pos++
	return t, ok
}

// assigns reads assignments and, for export, names.
func (p *plainParser) assigns(node *plainNode) bool {
	for {
		start := p.pos
		for p.pos < len(p.text) && identifier("_"+p.text[p.pos:p.pos+1]) {
			p.pos++
		}
		as := plainAssign{name: p.text[start:p.pos]}
		if !plainName(as.name) && as.name != "HOME" {
			return false
		}
		if strings.HasPrefix(p.text[p.pos:], "=") {
			p.pos++
			var ok bool
			if as.word, ok = p.word(0); !ok {
				return false
			}
		} else if as.bare = node.exports; !as.bare {
			return false
		}
		if !p.atEnd() {
			return false
		}
		node.assigns = append(node.assigns, as)
		p.blanks(false)
		if p.pos == len(p.text) || strings.IndexByte("\n;#", p.text[p.pos]) >= 0 {
			return true
		}
	}
}

// skip passes a command that is not understood, as long as its end is certain: words
// with balanced quotes on one line, no compound commands, no substitutions of commands,
// no here-documents.
func (p *plainParser) skip(word string) bool {
	for {
		if strings.ContainsAny(word, "&|<>()") || word != "[" && strings.Contains(word, "[") { // an element of an array, perhaps
			return false
		}
		switch word {
		case "for", "while", "until", "case", "select", "function", "time", "coproc", "do", "done", "esac", "in", "!", "{", "}", "[[", "let",
			"return", "declare", "typeset", "local", "readonly", "nameref", "alias", "unalias":
			return false
		}
		separator, ok := p.skipWords()
		if !ok || !separator {
			return ok
		}
		p.blanks(false)
		word = p.keyword()
		switch word {
		case "if", "then", "elif", "else", "fi", "":
			return false
		}
	}
}

// skipWords passes words up to the end of a command or past && and ||.
func (p *plainParser) skipWords() (separator, ok bool) {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; {
		case c == '\n' || c == ';':
			return false, true
		case strings.HasPrefix(p.text[p.pos:], "&&") || strings.HasPrefix(p.text[p.pos:], "||"):
			p.pos += 2
			return true, true
		case c == '"':
			p.pos++
			if _, ok := p.double(0); !ok {
				return false, false
			}
		case c == '$':
			if _, ok := p.parameter(0); !ok {
				return false, false
			}
		case c == ' ' || c == '\t' || c == '[' || c == ']' || strings.IndexByte(wordBytes, c) >= 0:
			p.pos++
		case strings.HasPrefix(p.text[p.pos:], ">&1") || strings.HasPrefix(p.text[p.pos:], ">&2"):
			p.pos += 3
		default:
			return false, false
		}
	}
	return false, true
}
