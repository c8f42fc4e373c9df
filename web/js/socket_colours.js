// Sockets and links of this pack have a colour by what travels on them, in both renderers. The host's palettes know none of
// them and are put on again when the user chooses another one.
import { app } from '../../../scripts/app.js'

const COLOURS = {
  LUMOSX_FACE: '#f4a582',
  LUMOSX_ATTRIBUTE: '#e8c35a',
  LUMOSX_SCENE: '#8fbf6b',
  LUMOSX_SUBJECT: '#ef6f4c',
  LUMOSX_SAMPLE: '#c9a3f5',
  LUMOSX_GRAPH: '#4cb8c4',
  LUMOSX_REFERENCES: '#5b9bf0',
  LUMOSX_ATTENTION: '#d977b5'
}

function paint() {
  Object.assign(LGraphCanvas.link_type_colors, COLOURS)
  Object.assign(app.canvas?.default_connection_color_byType ?? {}, COLOURS)
  for (const [type, colour] of Object.entries(COLOURS))
    document.documentElement.style.setProperty(`--color-datatype-${type}`, colour)
  app.canvas?.setDirty?.(true, true)
}

app.registerExtension({
  name: 'lumosx.socketColours',
  setup() {
    paint()
    app.ui?.settings?.addEventListener?.('Comfy.ColorPalette.change', () => setTimeout(paint, 0)) // after the host's own
  },
  afterConfigureGraph: paint
})
