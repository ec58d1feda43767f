// Package page opens the HTML page of runs in a real browser, where there is one: what it draws, and that nothing in it asks for
// anything or runs, whatever the records hold.
package page
