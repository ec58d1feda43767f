# bash completion for coracle; in ~/.bashrc:  source <(coracle completion bash)
_coracle() {
	local IFS=$'\n' program=${1/#\~/$HOME} directive line
	COMPREPLY=()
	{
		read -r directive
		while read -r line; do COMPREPLY+=("$line"); done
	} < <("$program" complete bash -- "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
	case $directive in
	nospace) compopt -o nospace ;;
	none) compopt +o default +o bashdefault ;;
	dirs)
		compopt -o filenames
		COMPREPLY=($(compgen -d -- "$2"))
		;;
	esac
}
complete -o bashdefault -o default -F _coracle coracle
