package env

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// parseScript parses a script. The error names the script and the line.
func parseScript(name string, text []byte) (*syntax.File, error) {
	text, file, err := prepare(name, text)
	if file != nil || err != nil {
		return file, err
	}
	return parseShallow(name, text)
}

// prepare turns a script into one that the interpreter understands rightly. file is the
// result when it has already been parsed.
func prepare(name string, raw []byte) (text []byte, file *syntax.File, err error) {
	text = hide(raw)
	file, err = parseShallow(name, text)
	if err != nil || bytes.IndexByte(text, '\\') < 0 {
		return text, file, err
	}
	if quoted := quoteEscapes(file, text); quoted != nil {
		return quoted, nil, nil
	}
	return text, file, nil
}

// parseShallow parses a script unless it is nested too deeply.
func parseShallow(name string, text []byte) (file *syntax.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, errors.New(name+": the parser gave up")
		}
	}()
	return syntax.NewParser().Parse(newShallow(text), name)
}

// A shallow is a reader that fails when the parser that reads from it has recursed too
// deeply: the parser reads in small pieces, at whatever depth it is.
type shallow struct {
	io.Reader
	reads int
}

// newShallow makes a shallow reader of a script.
func newShallow(text []byte) *shallow { return &shallow{Reader: bytes.NewReader(text)} }

func (s *shallow) Read(p []byte) (int, error) {
	s.reads++
	if s.reads%4 == 0 && deep() {
		return 0, errDeep
	}
	return s.Reader.Read(p[:min(len(p), 1024)])
}

// hidden is the first of 256 code points, at the end of Unicode's last private plane, that
// stand for bytes that are not UTF-8 while the interpreter, which reads nothing but
// UTF-8, has them in hand.
const hidden = 0x10ff00

// hide replaces the bytes of a text that are not valid UTF-8.
func hide(text []byte) []byte {
	if utf8.Valid(text) {
		return text
	}
	clean := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			r = hidden + rune(text[0])
		}
		clean = utf8.AppendRune(clean, r)
		text = text[n:]
	}
	return clean
}

// reveal is the inverse of hide.
func reveal(s string) string {
	if !strings.Contains(s, "\xf4\x8f") { // how the hidden code points begin
		return s
	}
	raw := make([]byte, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r >= hidden+utf8.RuneSelf {
			raw = append(raw, byte(r-hidden))
		} else {
			raw = append(raw, s[:n]...)
		}
		s = s[n:]
	}
	return string(raw)
}

// revealAll reveals a list of strings in place.
func revealAll(list []string) []string {
	for i, s := range list {
		list[i] = reveal(s)
	}
	return list
}

// quoteEscapes rewrites backslash escapes in the unquoted parts of assignments as
// quotes (A=a\ b becomes A=a' 'b), because the interpreter leaves such backslashes in
// the value. It returns nil when there is nothing to rewrite.
func quoteEscapes(file *syntax.File, text []byte) []byte {
	var lits []*syntax.Lit
	syntax.Walk(file, func(node syntax.Node) bool {
		if as, ok := node.(*syntax.Assign); ok && as.Value != nil {
			for _, part := range as.Value.Parts {
				if lit, ok := part.(*syntax.Lit); ok && strings.Contains(lit.Value, `\`) {
					lits = append(lits, lit)
				}
			}
		}
		return true
	})
	if lits == nil {
		return nil
	}
	slices.SortFunc(lits, func(a, b *syntax.Lit) int { return int(a.Pos().Offset()) - int(b.Pos().Offset()) })
	var out []byte
	last := 0
	for _, lit := range lits {
		start, end := int(lit.Pos().Offset()), int(lit.End().Offset())
		if start < last || end > len(text) || start > end {
			continue
		}
		out = append(out, text[last:start]...)
		out = appendQuoted(out, text[start:end])
		last = end
	}
	return append(out, text[last:]...)
}

// appendQuoted appends a literal with its escapes as quotes. An escaped line end stays.
func appendQuoted(out, lit []byte) []byte {
	for len(lit) > 0 {
		if lit[0] != '\\' || len(lit) < 2 || lit[1] == '\n' {
			out = append(out, lit[0])
			lit = lit[1:]
			continue
		}
		_, n := utf8.DecodeRune(lit[1:])
		quote := byte('\'')
		if lit[1] == '\'' {
			quote = '"'
		}
		out = append(out, quote)
		out = append(out, lit[1:1+n]...)
		out = append(out, quote)
		lit = lit[1+n:]
	}
	return out
}

// returns says whether a script uses return outside functions: such a script has to be
// read by the source builtin, the only place where return is legal.
func returns(file *syntax.File) bool {
	found := false
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.FuncDecl:
			return false
		case *syntax.CallExpr:
			if len(node.Args) > 0 && node.Args[0].Lit() == "return" {
				found = true
			}
		}
		return !found
	})
	return found
}

// sourceStmt is the command ". name".
func sourceStmt(name string) syntax.Node {
	return &syntax.CallExpr{Args: []*syntax.Word{
		{Parts: []syntax.WordPart{&syntax.Lit{Value: "."}}},
		{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: name}}},
	}}
}

// innerExecs finds the calls of exec that happen in subshells, where they do not replace
// the payload: ( … ), $( … ), pipelines, background commands.
func innerExecs(file *syntax.File) map[syntax.Pos]bool {
	var inner map[syntax.Pos]bool
	mark := func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "exec" {
			if inner == nil {
				inner = map[syntax.Pos]bool{}
			}
			inner[call.Pos()] = true
		}
		return true
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		forks := false
		switch node := node.(type) {
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
			forks = true
		case *syntax.BinaryCmd:
			forks = node.Op == syntax.Pipe || node.Op == syntax.PipeAll
		case *syntax.Stmt:
			forks = node.Background
		}
		if forks {
			syntax.Walk(node, mark)
		}
		return !forks
	})
	return inner
}
